/// The parameters of an introspection request (RFC 7662 §2.1), with the caller's credentials (RFC 6749 §2.3.1) and the
/// address that network limits are judged by.
///
/// Reusable for any number of bodies; keep one per event loop. A body that needs no decoding, such as all bodies with
/// credentials issued here, is read in one pass without the scratch.
public struct IntrospectionForm: ~Copyable, Sendable {
    /// The parameters that are read. Others are checked for their encoding and ignored.
    public enum Parameter: UInt8, Sendable, CaseIterable {
        case token, tokenTypeHint, clientID, clientSecret, clientIP, scope
    }

    @usableFromInline var fields = FormFields()
    /// A bit for each parameter that is present, and for each that is repeated.
    private var sent: UInt8 = 0
    private var repeated: UInt8 = 0
    /// Not an InlineArray: reading one element of that copies all.
    private var firsts = [FormText](
        repeating: FormText(range: WireRange(), isDecoded: false), count: Parameter.allCases.count)

    /// A form without a body.
    public init() {}

    /// Parses a body in place of the previous one.
    /// - Returns: the fault if the body is not a form.
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

    /// How often a parameter is present: 0, 1, or 2 for more than once.
    public func count(_ parameter: Parameter) -> Int {
        Int(sent >> parameter.rawValue & 1) &+ Int(repeated >> parameter.rawValue & 1)
    }

    /// The first value of a parameter; `nil` if it is absent.
    public func text(_ parameter: Parameter) -> FormText? {
        sent >> parameter.rawValue & 1 != 0 ? firsts[Int(parameter.rawValue)] : nil
    }

    /// Calls `use` with the bytes of a value.
    /// - Parameter body: the one that ``parse(_:)`` was called with.
    @inlinable
    public func withBytes<Value: ~Copyable, Failure: Error>(
        of text: FormText, in body: RawSpan, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try fields.withBytes(of: text, in: body, use)
    }

    /// Calls `use` with the first value of a parameter.
    /// - Returns: the result of `use`; `nil` if the parameter is absent.
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
        // RFC 6749 §3.1: a parameter without a value counts as absent.
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
    /// Compares by words: the first eight bytes and the last eight, which cover names of up to 16 bytes.
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
