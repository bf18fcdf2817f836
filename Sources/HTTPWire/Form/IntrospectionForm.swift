/// The parameters of an introspection request (RFC 7662 §2.1), with the caller's credentials (RFC 6749 §2.3.1) and the
/// address that network limits are judged by.
///
/// One of these serves any number of bodies; keep one per event loop. A body in which nothing is encoded, as all bodies
/// with our own credentials are, is read in one pass and leaves the scratch alone.
public struct IntrospectionForm: ~Copyable, Sendable {
    /// What the form is searched for. Other parameters are checked for their encoding and ignored.
    public enum Parameter: UInt8, Sendable, CaseIterable {
        case token, tokenTypeHint, clientID, clientSecret, clientIP, scope
    }

    @usableFromInline var fields = FormFields()
    /// A bit for each parameter that was sent, and for each that was sent again.
    private var sent: UInt8 = 0
    private var repeated: UInt8 = 0
    /// An array and not an InlineArray, of which a read of one element copies all.
    private var firsts = [FormText](
        repeating: FormText(range: WireRange(), isDecoded: false), count: Parameter.allCases.count)

    /// A form without a body.
    public init() {}

    /// Reads a body and forgets the one before.
    /// - Returns: the fault that makes it no form, if there is one.
    public mutating func parse(_ body: RawSpan) -> FormFault? {
        sent = 0
        repeated = 0
        if body.hasFormCoding(from: 0, to: body.byteCount) { return parseEncoded(body) }
        var cursor = PairCursor(WireRange(0, body.byteCount))
        while let pair = cursor.next(in: body) {
            guard let parameter = Parameter.recognise(body, pair.name) else { continue }
            note(parameter, FormText(range: pair.value, isDecoded: false))
        }
        return nil
    }

    /// How often a parameter was sent: 0, 1, or 2 for more than once.
    public func count(_ parameter: Parameter) -> Int {
        Int(sent >> parameter.rawValue & 1) &+ Int(repeated >> parameter.rawValue & 1)
    }

    /// Where the first value of a parameter lies; `nil` if it was not sent.
    public func text(_ parameter: Parameter) -> FormText? {
        sent >> parameter.rawValue & 1 != 0 ? firsts[Int(parameter.rawValue)] : nil
    }

    /// Calls `use` with the bytes of a value.
    /// - Parameter body: the one that ``parse(_:)`` was given.
    @inlinable
    public func withBytes<Value: ~Copyable, Failure: Error>(
        of text: FormText, in body: RawSpan, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try fields.withBytes(of: text, in: body, use)
    }

    /// Calls `use` with the first value of a parameter.
    /// - Returns: what `use` returns; `nil` if the parameter was not sent.
    @inlinable
    public func withValue<Value: ~Copyable, Failure: Error>(
        _ parameter: Parameter, in body: RawSpan, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value? {
        guard let text = text(parameter) else { return nil }
        return try fields.withBytes(of: text, in: body, use)
    }

    private mutating func parseEncoded(_ body: RawSpan) -> FormFault? {
        fields.begin(body)
        while true {
            switch fields.next(in: body) {
            case .end: return nil
            case .fault(let fault): return fault
            case .pair(let name, let value):
                if let parameter = parameter(named: name, in: body) { note(parameter, value) }
            }
        }
    }

    private func parameter(named name: FormText, in body: RawSpan) -> Parameter? {
        fields.withBytes(of: name, in: body) { Parameter.recognise($0, WireRange(0, $0.byteCount)) }
    }

    @inline(__always)
    private mutating func note(_ parameter: Parameter, _ value: FormText) {
        // RFC 6749 §3.1: a parameter without a value counts as omitted.
        if value.isEmpty { return }
        let bit: UInt8 = 1 << parameter.rawValue
        if sent & bit == 0 {
            sent |= bit
            firsts[Int(parameter.rawValue)] = value
        } else {
            repeated |= bit
        }
    }
}

extension IntrospectionForm.Parameter {
    /// Compares a word at a time: the first eight bytes and the last eight, which cover all of a name up to 16.
    @inline(__always)
    static func recognise(_ bytes: RawSpan, _ name: WireRange) -> Self? {
        let first = bytes.shortWord(name.start, count: name.count)
        if name.count < 9 {
            guard name.count == 5 else { return nil }
            if first == literalWord("token") { return .token }
            return first == literalWord("scope") ? .scope : nil
        }
        let last = bytes.word(name.end &- 8)
        switch (name.count, first, last) {
        case (9, literalWord("client_i"), literalWord("lient_id")): return .clientID
        case (9, literalWord("client_i"), literalWord("lient_ip")): return .clientIP
        case (13, literalWord("client_s"), literalWord("t_secret")): return .clientSecret
        case (15, literalWord("token_ty"), literalWord("ype_hint")): return .tokenTypeHint
        default: return nil
        }
    }
}
