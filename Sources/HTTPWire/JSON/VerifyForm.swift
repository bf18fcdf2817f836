/// The body of `POST /v1/verify`: one JSON object (RFC 8259) that names one credential or a batch of them, and what
/// they are needed for.
///
/// ```
/// {"credentials": ["iik1_…", "iib1_…"], "scope": "a b", "audience": "https://…", "client_ip": "192.0.2.7"}
/// {"credential": "iik1_…"}
/// ```
/// Members come in any order; those of other names are judged as JSON and otherwise ignored. Any string is a credential
/// here, the empty one too: that it is malformed is a verdict. What scope, audience and address mean is not looked at.
///
/// One of these serves any number of bodies, one after another; keep one per event loop. Reading allocates nothing,
/// unless scope, audience or address have escapes in them.
public struct VerifyForm: ~Copyable, Sendable {
    /// Largest body, in bytes.
    public static let bodyBytesMax = 1_048_576
    /// Most elements of `credentials`.
    public static let credentialsMax = 1_000

    /// Whether the credentials came in an array, so that the verdicts must, too.
    public private(set) var isBatch = false
    /// Scopes that are needed, if any are named: parted by spaces. May be empty.
    public private(set) var scope: FormText?
    /// Audience that is needed, if one is named. May be empty.
    public private(set) var audience: FormText?
    /// Address that network limits are judged by, if one is named. May be empty.
    public private(set) var clientIP: FormText?
    /// How many bytes had been read when the fault was found that ``parse(_:)`` returned; else 0. It is the offset of
    /// the byte that is wrong, or lies right behind the string that is too long.
    public private(set) var faultOffset = 0

    // 12 KB that stay: what is read in one pass need not be searched again, and can be looked up ahead.
    private var credentials: [JSONText] = []
    @usableFromInline var scratch = FormScratch()

    /// A form without a body.
    public init() {
        credentials.reserveCapacity(Self.credentialsMax)
    }

    /// How many credentials there are: 1 to ``credentialsMax``, or 0 without a body or behind a fault.
    public var count: Int { credentials.count }

    /// Where a credential lies in the body.
    /// - Parameter index: below ``count``, in the order of the body.
    public func credential(at index: Int) -> JSONText { credentials[index] }

    /// Calls `use` with the bytes of a credential.
    ///
    /// - Parameters:
    ///   - index: below ``count``, in the order of the body.
    ///   - body: the one that ``parse(_:)`` was given.
    ///   - scratch: forgets what it held and takes the credential, up to 8,192 bytes, if it has escapes. `use` must not
    ///     touch it.
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
    /// - Parameter body: the one that ``parse(_:)`` was given.
    @inlinable
    public func withBytes<Value: ~Copyable, Failure: Error>(
        of text: FormText, in body: RawSpan, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try scratch.withBytes(of: text, in: body, use)
    }

    /// Reads a body and forgets the one before.
    /// - Returns: the fault that makes it no request, if there is one: the first in the order of the bytes. The form is
    ///   empty then.
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
            guard try reader.nextBegins(with: UInt8(ascii: "\"")) else { return .elementIsNoString }
            guard credentials.count < Self.credentialsMax else { return .tooManyElements }
            let text = try reader.string()
            guard text.count <= Member.credentials.bytesMax else { return .tooLong(.credentials) }
            credentials.append(text)
        } while try reader.continues()
        return nil
    }
}
