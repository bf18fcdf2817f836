/// The body of `POST /v1/verify`: one JSON object (RFC 8259) with one credential or a batch of them, and the
/// requirement that they must meet.
///
/// ```
/// {"credentials": ["iik1_…", "iib1_…"], "scope": "a b", "audience": "https://…", "client_ip": "192.0.2.7"}
/// {"credential": "iik1_…"}
/// ```
/// Members come in any order; those of other names are checked as JSON and otherwise ignored. Any string counts as a
/// credential here, even an empty one: "malformed" is a verdict. Scope, audience and address are not interpreted.
///
/// Reusable for any number of bodies, one after another; keep one per event loop. Parsing allocates nothing, unless
/// scope, audience or address have escapes.
public struct VerifyForm: ~Copyable, Sendable {
    /// Largest body, in bytes.
    public static let bodyBytesMax = 1_048_576
    /// Maximum number of elements of `credentials`.
    public static let credentialsMax = 1_000

    /// Whether the credentials are in an array, so that the response must have an array too.
    public private(set) var isBatch = false
    /// Required scopes, space-separated, if the member is present. May be empty.
    public private(set) var scope: FormText?
    /// Required audience, if the member is present. May be empty.
    public private(set) var audience: FormText?
    /// The address for network limits, if the member is present. May be empty.
    public private(set) var clientIP: FormText?
    /// Offset of the fault that ``parse(_:)`` returned, in bytes; else 0. It is that of the invalid byte, or of the
    /// byte after a string that is too long.
    public private(set) var faultOffset = 0

    // 12 KB that are kept: the strings are located in one pass and can be prefetched.
    private var credentials: [JSONText] = []
    @usableFromInline var scratch = FormScratch()

    /// A form without a body.
    public init() {
        credentials.reserveCapacity(Self.credentialsMax)
    }

    /// The number of credentials: 1 to ``credentialsMax``, or 0 without a body or after a fault.
    public var count: Int { credentials.count }

    /// The location of a credential in the body.
    /// - Parameter index: below ``count``, in the order of the body.
    public func credential(at index: Int) -> JSONText { credentials[index] }

    /// Calls `use` with the bytes of a credential.
    ///
    /// - Parameters:
    ///   - index: below ``count``, in the order of the body.
    ///   - body: the one that ``parse(_:)`` was called with.
    ///   - scratch: is cleared, and receives the credential, up to 8,192 bytes, if it has escapes. `use` must not
    ///     access it.
    @inlinable
    public func withCredential<Value: ~Copyable, Failure: Error>(
        at index: Int, in body: RawSpan, scratch: inout FormScratch, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let credential = credential(at: index)
        guard credential.isEscaped else { return try use(body.slice(credential.range)) }
        scratch.clear()
        let decoded = scratch.decode(body, credential)
        return try scratch.withBytes(of: decoded, in: body, use)
    }

    /// Calls `use` with the bytes of ``scope``, ``audience`` or ``clientIP``.
    /// - Parameter body: the one that ``parse(_:)`` was called with.
    @inlinable
    public func withBytes<Value: ~Copyable, Failure: Error>(
        of text: FormText, in body: RawSpan, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try scratch.withBytes(of: text, in: body, use)
    }

    /// Parses a body in place of the previous one.
    /// - Returns: the first fault in the order of the bytes, if there is one. The form is then empty.
    public mutating func parse(_ body: RawSpan) -> VerifyFault? {
        clear()
        guard body.byteCount <= Self.bodyBytesMax else { return .bodyTooLarge }
        var reader = JSONReader(body)
        let fault: VerifyFault?
        do throws(JSONFault) {
            fault = try read(&reader)
        } catch {
            fault = .notJSON(error)
        }
        guard let fault else { return nil }
        clear()
        faultOffset = reader.position
        return fault
    }

    private mutating func clear() {
        isBatch = false
        scope = nil
        audience = nil
        clientIP = nil
        faultOffset = 0
        credentials.removeAll(keepingCapacity: true)
        scratch.clear()
    }

    private mutating func read(_ reader: inout JSONReader) throws(JSONFault) -> VerifyFault? {
        guard try reader.nextBegins(with: UInt8(ascii: "{")) else { return .notAnObject }
        if try reader.enter() {
            var seen = SeenMembers()
            repeat {
                let name = try reader.name()
                guard let member = Member.recognise(reader.bytes, name) else {
                    try reader.skipValue()
                    continue
                }
                if let fault = seen.insert(member) { return fault }
                if let fault = try read(member, &reader) { return fault }
            } while try reader.continues()
        }
        try reader.end()
        return credentials.isEmpty ? .neitherMember : nil
    }

    private mutating func read(_ member: Member, _ reader: inout JSONReader) throws(JSONFault) -> VerifyFault? {
        if member == .credentials { return try readBatch(&reader) }
        guard try reader.nextBegins(with: UInt8(ascii: "\"")) else { return .wrongType(member) }
        let text = try reader.string()
        guard text.count <= member.bytesMax else { return .tooLong(member) }
        switch member {
        case .credential, .credentials: credentials.append(text)
        case .scope: scope = scratch.decode(reader.bytes, text)
        case .audience: audience = scratch.decode(reader.bytes, text)
        case .clientIP: clientIP = scratch.decode(reader.bytes, text)
        }
        return nil
    }

    private mutating func readBatch(_ reader: inout JSONReader) throws(JSONFault) -> VerifyFault? {
        guard try reader.nextBegins(with: UInt8(ascii: "[")) else { return .wrongType(.credentials) }
        isBatch = true
        guard try reader.enter() else { return .noElements }
        repeat {
            guard try reader.nextBegins(with: UInt8(ascii: "\"")) else { return .elementIsNotString }
            guard credentials.count < Self.credentialsMax else { return .tooManyElements }
            let text = try reader.string()
            guard text.count <= Member.credentials.bytesMax else { return .tooLong(.credentials) }
            credentials.append(text)
        } while try reader.continues()
        return nil
    }
}

extension VerifyForm {
    /// The members that are read.
    public enum Member: UInt8, Sendable, CaseIterable {
        case credential, credentials, scope, audience, clientIP

        /// Maximum number of bytes of the decoded string; of `credentials`, of each of its strings.
        public var bytesMax: Int {
            switch self {
            case .credential, .credentials: AuthorizationField.credentialBytesMax
            case .scope: 4_096
            case .audience: 512
            case .clientIP: 64
            }
        }

        /// The name in the object.
        public var name: StaticString {
            switch self {
            case .credential: "credential"
            case .credentials: "credentials"
            case .scope: "scope"
            case .audience: "audience"
            case .clientIP: "client_ip"
            }
        }

        /// Compares decoded names, byte for byte. All have different lengths, so one comparison is enough.
        static func recognise(_ bytes: RawSpan, _ name: JSONText) -> Member? {
            let member: Member
            switch name.count {
            case 5: member = .scope
            case 8: member = .audience
            case 9: member = .clientIP
            case 10: member = .credential
            case 11: member = .credentials
            default: return nil
            }
            return bytes.spells(name, member.name) ? member : nil
        }
    }
}

/// The members that an object has had so far.
struct SeenMembers {
    private var bits: UInt8 = 0

    /// Adds a member.
    /// - Returns: the fault, if it conflicts with those added before.
    mutating func insert(_ member: VerifyForm.Member) -> VerifyFault? {
        if contains(member) { return .repeated(member) }
        bits |= 1 &<< member.rawValue
        return contains(.credential) && contains(.credentials) ? .bothMembers : nil
    }

    private func contains(_ member: VerifyForm.Member) -> Bool { bits & 1 &<< member.rawValue != 0 }
}

/// Why a body is not a valid request for verdicts.
public enum VerifyFault: Error, Equatable, Hashable, Sendable {
    /// More than ``VerifyForm/bodyBytesMax`` bytes.
    case bodyTooLarge
    /// The body is not valid JSON.
    case notJSON(JSONFault)
    /// The body is a JSON value other than an object.
    case notAnObject
    /// A member is repeated: readers differ in which one they use (RFC 8259 §4).
    case repeated(VerifyForm.Member)
    /// A member has a value of the wrong type.
    case wrongType(VerifyForm.Member)
    /// A string, or a string of an array, is longer than ``VerifyForm/Member/bytesMax``.
    case tooLong(VerifyForm.Member)
    /// An element of `credentials` is not a string.
    case elementIsNotString
    /// `credentials` is empty.
    case noElements
    /// `credentials` has more than ``VerifyForm/credentialsMax`` elements.
    case tooManyElements
    /// Both `credential` and `credentials`.
    case bothMembers
    /// Neither `credential` nor `credentials`.
    case neitherMember

    /// The status to answer with.
    public var status: UInt16 {
        switch self {
        case .bodyTooLarge, .tooManyElements: 413
        default: 400
        }
    }

    /// What is wrong and how to correct it, for the body of the response and the log; contains no input.
    public var reason: StaticString {
        switch self {
        case .bodyTooLarge: "the body is larger than 1,048,576 bytes; send the credentials in several requests"
        case .notJSON(let fault): fault.reason
        case .notAnObject: "the body is not a JSON object"
        case .repeated(let member): member.repeatedReason
        case .wrongType(let member): member.wrongTypeReason
        case .tooLong(let member): member.tooLongReason
        case .elementIsNotString: "an element of credentials is not a string"
        case .noElements: "credentials is empty; it takes 1 to 1,000 strings"
        case .tooManyElements: "credentials has more than 1,000 elements; send them in several requests"
        case .bothMembers: "credential and credentials exclude each other; send one of them"
        case .neitherMember: "credential or credentials is missing"
        }
    }
}

extension VerifyForm.Member {
    fileprivate var repeatedReason: StaticString {
        switch self {
        case .credential: "credential is repeated; put several into the array credentials"
        case .credentials: "credentials is repeated"
        case .scope: "scope is repeated; put all scopes into one string, separated by spaces"
        case .audience: "audience is repeated"
        case .clientIP: "client_ip is repeated"
        }
    }

    fileprivate var wrongTypeReason: StaticString {
        switch self {
        case .credential: "credential is not a string"
        case .credentials: "credentials is not an array"
        case .scope: "scope is not a string; separate scopes by spaces, and leave the member out if none is required"
        case .audience: "audience is not a string; leave the member out if none is required"
        case .clientIP: "client_ip is not a string; leave the member out if it is not known"
        }
    }

    fileprivate var tooLongReason: StaticString {
        switch self {
        case .credential: "credential is longer than 8,192 bytes"
        case .credentials: "an element of credentials is longer than 8,192 bytes"
        case .scope: "scope is longer than 4,096 bytes"
        case .audience: "audience is longer than 512 bytes"
        case .clientIP: "client_ip is longer than 64 bytes"
        }
    }
}
