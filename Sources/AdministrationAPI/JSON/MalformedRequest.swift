/// A request body that is not what the route takes. Names the member, never the value: that may be a secret.
public struct MalformedRequest: Error, Equatable, Sendable {
    /// What is wrong.
    public enum Fault: Equatable, Sendable {
        case notJSON, notUTF8, unknownMember, missingMember, repeatedMember, wrongType
    }

    public let fault: Fault
    /// The path of the member (`lines.3.owner`), nil when it is the whole body or cannot be named safely.
    public let member: String?

    public init(_ fault: Fault, member: String?) {
        self.fault = fault
        self.member = member
    }

    init(_ fault: Fault, path: [any CodingKey]) {
        self.init(fault, member: path.isEmpty ? nil : path.map(Self.safeName).joined(separator: "."))
    }

    init(_ error: DecodingError) {
        switch error {
        case .keyNotFound(let name, let context): self.init(.missingMember, path: context.codingPath + [name])
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            self.init(.wrongType, path: context.codingPath)
        case .dataCorrupted(let context) where !context.codingPath.isEmpty:
            self.init(.wrongType, path: context.codingPath)
        default: self.init(.notJSON, member: nil)
        }
    }

    /// A sentence for people, without anything from the request but a safe name.
    public var message: String { message(of: "body") }

    /// - Parameter text: what was read: "body", or "line" of a file.
    public func message(of text: String) -> String {
        let name = member.map { "'\($0)'" }
        return switch fault {
        case .notJSON: "The \(text) is not JSON (RFC 8259)."
        case .notUTF8: "The \(text) is not well-formed UTF-8 (RFC 8259 §8.1)."
        case .unknownMember: "The member \(name ?? "given") is not known here."
        case .missingMember: "The member \(name ?? "required") is missing."
        case .repeatedMember: "The member \(name ?? "given") stands twice in one object."
        case .wrongType: name.map { "The member \($0) has the wrong type." } ?? "The \(text) must be a JSON object."
        }
    }

    /// The name of a member as it may be shown.
    ///
    /// A caller can put a credential where a name belongs. The shortest credential has 20 bytes, so that names under 20
    /// bytes of lower-case letters, digits and `_` are shown and others are not.
    public static func safeName(_ name: String) -> String? {
        let isSafe =
            (1..<20).contains(name.utf8.count)
            && name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
        return isSafe ? name : nil
    }

    private static func safeName(_ key: any CodingKey) -> String {
        key.intValue.map(String.init) ?? safeName(key.stringValue) ?? "…"
    }
}
