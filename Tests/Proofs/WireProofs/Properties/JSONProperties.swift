public import HTTPWire

/// The content of a body of `POST /v1/verify`, as plain values.
public struct VerifyReading: Equatable, Sendable {
    /// Whether the credentials are in an array.
    public var isBatch = false
    /// The credentials, decoded.
    public var credentials: [[UInt8]] = []
    /// The required scopes, if any.
    public var scope: [UInt8]?
    /// The required audience, if any.
    public var audience: [UInt8]?
    /// The client's address, if any.
    public var clientIP: [UInt8]?

    /// Nothing.
    public init() {}

    /// What the form reads from bytes, or the fault that it finds in them.
    public static func read(_ bytes: [UInt8], with form: inout VerifyForm) -> Result<VerifyReading, VerifyFault> {
        // SAFETY: plain bytes, all of them initialised.
        let body = unsafe bytes.span.bytes
        if let fault = form.parse(body) {
            require(form.faultOffset <= bytes.count, "a fault lies outside the body")
            require(form.count == 0 && !form.isBatch, "credentials are left after a fault")
            require(form.scope == nil && form.audience == nil && form.clientIP == nil, "a member is left after a fault")
            return .failure(fault)
        }
        var reading = VerifyReading()
        var scratch = FormScratch()
        reading.isBatch = form.isBatch
        for index in 0..<form.count {
            let text = form.credential(at: index)
            require(text.range, within: bytes.count)
            let credential = form.withCredential(at: index, in: body, scratch: &scratch, copy)
            require(credential.count == text.count, "a credential has another length")
            reading.credentials.append(credential)
        }
        reading.scope = form.scope.map { form.withBytes(of: $0, in: body, copy) }
        reading.audience = form.audience.map { form.withBytes(of: $0, in: body, copy) }
        reading.clientIP = form.clientIP.map { form.withBytes(of: $0, in: body, copy) }
        return .success(reading)
    }

    /// What a simple JSON reader finds in bytes; `nil` if they are not a request.
    static func expected(_ bytes: [UInt8]) -> VerifyReading? {
        guard bytes.count <= VerifyForm.bodyBytesMax, case .object(let members) = JSONOracle.read(bytes) else {
            return nil
        }
        var reading = VerifyReading()
        var names: Set<String> = []
        for member in members {
            let name = String(decoding: member.name, as: UTF8.self)
            guard ["credential", "credentials", "scope", "audience", "client_ip"].contains(name) else { continue }
            guard names.insert(name).inserted, reading.take(name, member.value) else { return nil }
        }
        guard names.contains("credential") != names.contains("credentials") else { return nil }
        return reading
    }

    private mutating func take(_ name: String, _ value: JSONValue) -> Bool {
        switch (name, value) {
        case ("credential", .string(let text)):
            credentials = [text]
            return text.count <= 8_192
        case ("credentials", .array(let elements)):
            isBatch = true
            for case .string(let text) in elements where text.count <= 8_192 { credentials.append(text) }
            return (1...1_000).contains(elements.count) && credentials.count == elements.count
        case ("scope", .string(let text)):
            scope = text
            return text.count <= 4_096
        case ("audience", .string(let text)):
            audience = text
            return text.count <= 512
        case ("client_ip", .string(let text)):
            clientIP = text
            return text.count <= 64
        default: return false
        }
    }
}

/// The form accepts what a simple JSON reader accepts, with the same content, also if it is reused.
public func checkVerifyForm(_ bytes: [UInt8]) {
    var form = VerifyForm()
    let first = VerifyReading.read(bytes, with: &form)
    let again = VerifyReading.read(bytes, with: &form)
    require(first == again, "a reused form gives another result")
    switch (first, VerifyReading.expected(bytes)) {
    case (.success(let reading), let expected?): require(reading == expected, "the simple reader finds other members")
    case (.failure, nil): break
    case (.success, nil): fatalError("the form accepts what is not a request")
    case (.failure, _): fatalError("the form refuses a request")
    }
}

/// The reader decodes what the writer has escaped.
func checkRoundTrip(_ text: [UInt8], escaped: [UInt8]) {
    guard text.count <= 8_192, String(validating: text, as: UTF8.self) != nil else { return }
    var form = VerifyForm()
    let body = Array("{\"credential\":\"".utf8) + escaped + Array("\"}".utf8)
    guard case .success(let reading) = VerifyReading.read(body, with: &form) else {
        fatalError("the reader refuses what the writer escaped")
    }
    require(reading.credentials == [text], "the reader does not return what was written")
}

/// A token review is accepted if a simple JSON reader accepts it, with the same token and audiences.
func checkTokenReview(_ bytes: [UInt8]) {
    // SAFETY: plain bytes, all of them initialised.
    let body = unsafe bytes.span.bytes
    var form = TokenReviewForm()
    let fault = form.parse(body)
    guard let expected = expectedReview(bytes) else {
        return require(fault != nil, "something else is accepted as a token review")
    }
    require(fault == nil, "a token review is refused")
    require(form.withBytes(of: form.token, in: body, copy) == expected.token, "the token of a token review differs")
    let audiences = form.audiences.map { form.withBytes(of: $0, in: body, copy) }
    require(audiences == expected.audiences, "the audiences of a token review differ")
}

private func expectedReview(_ bytes: [UInt8]) -> (token: [UInt8], audiences: [[UInt8]])? {
    guard case .object(let members) = JSONOracle.read(bytes),
        case .string(let version)? = only("apiVersion", of: members),
        ["authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"].contains(where: { version == Array($0.utf8) }),
        case .string(let kind)? = only("kind", of: members), kind == Array("TokenReview".utf8),
        case .object(let spec)? = only("spec", of: members),
        case .string(let token)? = only("token", of: spec), token.count <= 8_192
    else { return nil }
    let named = spec.filter { $0.name == Array("audiences".utf8) }
    guard named.count <= 1 else { return nil }
    switch named.first?.value {
    case nil, .null: return (token, [])
    case .array(let elements):
        guard elements.count <= TokenReviewForm.audiencesMax else { return nil }
        var audiences: [[UInt8]] = []
        for element in elements {
            guard case .string(let audience) = element, audience.count <= TokenReviewForm.audienceBytesMax else {
                return nil
            }
            audiences.append(audience)
        }
        return (token, audiences)
    case .other, .object, .string: return nil
    }
}

/// The value of a member that occurs exactly once.
private func only(_ name: StaticString, of members: [(name: [UInt8], value: JSONValue)]) -> JSONValue? {
    let wanted = Array("\(name)".utf8)
    let found = members.filter { $0.name == wanted }
    return found.count == 1 ? found[0].value : nil
}

/// A JSON value, read in the simplest way: recursively, into arrays. The reference for the reader that is fuzzed.
enum JSONValue {
    case object([(name: [UInt8], value: JSONValue)])
    case array([JSONValue])
    case string([UInt8])
    case null
    /// A number, true or false.
    case other
}

/// Reads a JSON text (RFC 8259) as scalars, and its strings as UTF-16.
struct JSONOracle {
    private static let nestingMax = 32
    private let scalars: [Unicode.Scalar]
    private var index = 0

    /// The value of `bytes`; `nil` if they are not a JSON text.
    static func read(_ bytes: [UInt8]) -> JSONValue? {
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        var oracle = JSONOracle(scalars: Array(text.unicodeScalars))
        guard let value = oracle.value(inside: 0) else { return nil }
        oracle.skipWhitespace()
        return oracle.index == oracle.scalars.count ? value : nil
    }

    private init(scalars: [Unicode.Scalar]) { self.scalars = scalars }

    private var scalar: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

    private mutating func skipWhitespace() {
        while let scalar, [" ", "\t", "\n", "\r"].contains(scalar) { index += 1 }
    }

    private mutating func take(_ wanted: Unicode.Scalar) -> Bool {
        guard scalar == wanted else { return false }
        index += 1
        return true
    }

    private mutating func takeWord(_ word: String) -> Bool { word.unicodeScalars.allSatisfy { take($0) } }

    private mutating func value(inside depth: Int) -> JSONValue? {
        skipWhitespace()
        switch scalar {
        case "{": return object(depth + 1)
        case "[": return array(depth + 1)
        case "\"": return string().map(JSONValue.string)
        case "t": return takeWord("true") ? .other : nil
        case "f": return takeWord("false") ? .other : nil
        case "n": return takeWord("null") ? .null : nil
        default: return isNumber() ? .other : nil
        }
    }

    private mutating func object(_ depth: Int) -> JSONValue? {
        guard depth <= Self.nestingMax, take("{") else { return nil }
        var members: [(name: [UInt8], value: JSONValue)] = []
        skipWhitespace()
        if take("}") { return .object([]) }
        while true {
            skipWhitespace()
            guard let name = string() else { return nil }
            skipWhitespace()
            guard take(":"), let value = value(inside: depth) else { return nil }
            members.append((name, value))
            skipWhitespace()
            if take("}") { return .object(members) }
            guard take(",") else { return nil }
        }
    }

    private mutating func array(_ depth: Int) -> JSONValue? {
        guard depth <= Self.nestingMax, take("[") else { return nil }
        var elements: [JSONValue] = []
        skipWhitespace()
        if take("]") { return .array([]) }
        while true {
            guard let value = value(inside: depth) else { return nil }
            elements.append(value)
            skipWhitespace()
            if take("]") { return .array(elements) }
            guard take(",") else { return nil }
        }
    }

    private mutating func string() -> [UInt8]? {
        guard take("\"") else { return nil }
        var units: [UInt16] = []
        while let scalar {
            index += 1
            switch scalar {
            case "\"": return String(validating: units, as: UTF16.self).map { Array($0.utf8) }
            case "\\":
                guard let unit = escapedUnit() else { return nil }
                units.append(unit)
            case "\0"..."\u{1F}": return nil
            default: units.append(contentsOf: UTF16.encode(scalar) ?? UTF16.EncodedScalar())
            }
        }
        return nil
    }

    private mutating func escapedUnit() -> UInt16? {
        guard let scalar else { return nil }
        index += 1
        if scalar == "u" {
            let digits = scalars[index..<min(index + 4, scalars.count)]
            index += 4
            guard digits.count == 4, digits.allSatisfy(\.properties.isASCIIHexDigit) else { return nil }
            return UInt16(String(String.UnicodeScalarView(digits)), radix: 16)
        }
        let meanings: [Unicode.Scalar: UInt16] = [
            "\"": 0x22, "\\": 0x5C, "/": 0x2F, "b": 8, "t": 9, "n": 10, "f": 12, "r": 13,
        ]
        return meanings[scalar]
    }

    private mutating func isNumber() -> Bool {
        _ = take("-")
        if !take("0") {
            guard let scalar, scalar != "0", takeDigits() else { return false }
        } else if let scalar, ("0"..."9").contains(scalar) {
            return false
        }
        if take("."), !takeDigits() { return false }
        guard take("e") || take("E") else { return true }
        if !take("+") { _ = take("-") }
        return takeDigits()
    }

    private mutating func takeDigits() -> Bool {
        let start = index
        while let scalar, ("0"..."9").contains(scalar) { index += 1 }
        return index > start
    }
}
