/// The body of a Kubernetes token review, as API servers send it to their webhook. A few members of one object are
/// read.
///
/// ```
/// {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "…", "audiences": ["https://…"]}}
/// ```
/// Members of other names are checked as JSON and otherwise ignored.
public struct TokenReviewForm: ~Copyable, Sendable {
    /// Maximum number of elements of `audiences`.
    public static let audiencesMax = 64
    public static let audienceBytesMax = 512

    /// The versions of the API. The members that are read and written here do not differ; the response has the version
    /// of the request.
    public enum Version: Sendable {
        case v1
        /// The default of API servers.
        case v1beta1
    }

    public private(set) var version = Version.v1
    /// The token. May be empty.
    public private(set) var token = FormText(range: WireRange(), isDecoded: false)
    /// The audiences of the caller: those of the API server.
    public private(set) var audiences: [FormText] = []
    @usableFromInline var scratch = FormScratch()

    public init() {}

    /// Parses a body. Call it once for each form.
    /// - Returns: why the body is not a valid review, if it is not; contains no input.
    public mutating func parse(_ body: RawSpan) -> StaticString? {
        var reader = JSONReader(body)
        do throws(JSONFault) {
            return try read(&reader)
        } catch {
            return error.reason
        }
    }

    /// Calls `use` with the bytes of ``token`` or one of ``audiences``.
    /// - Parameter body: the one that ``parse(_:)`` was called with.
    @inlinable
    public func withBytes<Value: ~Copyable, Failure: Error>(
        of text: FormText, in body: RawSpan, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try scratch.withBytes(of: text, in: body, use)
    }

    private mutating func read(_ reader: inout JSONReader) throws(JSONFault) -> StaticString? {
        guard try reader.nextBegins(with: UInt8(ascii: "{")) else { return "the body is not a JSON object" }
        var (hasVersion, hasKind, hasSpec) = (false, false, false)
        if try reader.enter() {
            repeat {
                let name = try reader.name()
                if reader.bytes.spells(name, "apiVersion") {
                    guard !hasVersion, let version = try readVersion(&reader) else {
                        return "apiVersion must be authentication.k8s.io/v1 or authentication.k8s.io/v1beta1, once"
                    }
                    self.version = version
                    hasVersion = true
                } else if reader.bytes.spells(name, "kind") {
                    guard !hasKind, try readText(&reader, "TokenReview") else {
                        return "kind must be TokenReview, once"
                    }
                    hasKind = true
                } else if reader.bytes.spells(name, "spec") {
                    guard !hasSpec else { return "spec is repeated" }
                    hasSpec = true
                    if let fault = try readSpec(&reader) { return fault }
                } else {
                    try reader.skipValue()
                }
            } while try reader.continues()
        }
        try reader.end()
        return hasVersion && hasKind && hasSpec ? nil : "apiVersion, kind or spec is missing"
    }

    private func readVersion(_ reader: inout JSONReader) throws(JSONFault) -> Version? {
        guard try reader.nextBegins(with: UInt8(ascii: "\"")) else { return nil }
        let text = try reader.string()
        if reader.bytes.spells(text, "authentication.k8s.io/v1") { return .v1 }
        return reader.bytes.spells(text, "authentication.k8s.io/v1beta1") ? .v1beta1 : nil
    }

    private func readText(_ reader: inout JSONReader, _ expected: StaticString) throws(JSONFault) -> Bool {
        guard try reader.nextBegins(with: UInt8(ascii: "\"")) else { return false }
        return reader.bytes.spells(try reader.string(), expected)
    }

    private mutating func readSpec(_ reader: inout JSONReader) throws(JSONFault) -> StaticString? {
        guard try reader.nextBegins(with: UInt8(ascii: "{")) else { return "spec is not an object" }
        var (hasToken, hasAudiences) = (false, false)
        if try reader.enter() {
            repeat {
                let name = try reader.name()
                if reader.bytes.spells(name, "token") {
                    guard !hasToken, try reader.nextBegins(with: UInt8(ascii: "\"")) else {
                        return "token must be a string, once"
                    }
                    hasToken = true
                    let text = try reader.string()
                    guard text.count <= AuthorizationField.credentialBytesMax else {
                        return "token is longer than 8,192 bytes"
                    }
                    token = scratch.decode(reader.bytes, text)
                } else if reader.bytes.spells(name, "audiences") {
                    guard !hasAudiences else { return "audiences is repeated" }
                    hasAudiences = true
                    if let fault = try readAudiences(&reader) { return fault }
                } else {
                    try reader.skipValue()
                }
            } while try reader.continues()
        }
        return hasToken ? nil : "token is missing"
    }

    private mutating func readAudiences(_ reader: inout JSONReader) throws(JSONFault) -> StaticString? {
        // Servers written in Go send null for an empty list.
        if try reader.nextBegins(with: UInt8(ascii: "n")) {
            try reader.skipValue()
            return nil
        }
        guard try reader.nextBegins(with: UInt8(ascii: "[")) else { return "audiences is not an array" }
        guard try reader.enter() else { return nil }
        repeat {
            guard try reader.nextBegins(with: UInt8(ascii: "\"")) else {
                return "an element of audiences is not a string"
            }
            let text = try reader.string()
            guard audiences.count < Self.audiencesMax, text.count <= Self.audienceBytesMax else {
                return "audiences has more than 64 elements, or one of more than 512 bytes"
            }
            audiences.append(scratch.decode(reader.bytes, text))
        } while try reader.continues()
        return nil
    }
}
