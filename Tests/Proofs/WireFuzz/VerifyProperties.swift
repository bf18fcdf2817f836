public import HTTPWire

/// What a body of `POST /v1/verify` asks for, as plain values.
public struct VerifyReading: Equatable, Sendable {
    /// Whether the credentials came in an array.
    public var isBatch = false
    /// The credentials, decoded.
    public var credentials: [[UInt8]] = []
    /// Needed scopes, if named.
    public var scope: [UInt8]?
    /// Needed audience, if named.
    public var audience: [UInt8]?
    /// Address of the client, if named.
    public var clientIP: [UInt8]?

    /// Nothing.
    public init() {}

    /// What the form says about bytes, or the fault that it finds in them.
    public static func read(_ bytes: [UInt8], with form: inout VerifyForm) -> Result<VerifyReading, VerifyFault> {
        // SAFETY: plain bytes, all of them initialised.
        let body = unsafe bytes.span.bytes
        if let fault = form.parse(body) {
            require(form.faultOffset <= bytes.count, "a fault lies outside the body")
            require(form.count == 0 && !form.isBatch, "credentials survive a fault")
            require(form.scope == nil && form.audience == nil && form.clientIP == nil, "a need survives a fault")
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

    /// What a plain reader of JSON says about bytes; `nil` if they are no request.
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

/// The form takes what a plain reader of JSON takes, and sees the same in it. So does one that has read before.
public func checkVerifyForm(_ bytes: [UInt8]) {
    var form = VerifyForm()
    let first = VerifyReading.read(bytes, with: &form)
    let again = VerifyReading.read(bytes, with: &form)
    require(first == again, "a form remembers")
    switch (first, VerifyReading.expected(bytes)) {
    case (.success(let reading), let expected?): require(reading == expected, "a plain reader sees other members")
    case (.failure, nil): break
    case (.success, nil): fatalError("the form takes what is no request")
    case (.failure, _): fatalError("the form refuses a request")
    }
}

/// What the writer escapes the reader takes back.
func checkRoundTrip(_ text: [UInt8], escaped: [UInt8]) {
    guard text.count <= 8_192, String(validating: text, as: UTF8.self) != nil else { return }
    var form = VerifyForm()
    let body = Array("{\"credential\":\"".utf8) + escaped + Array("\"}".utf8)
    guard case .success(let reading) = VerifyReading.read(body, with: &form) else {
        fatalError("the reader refuses what the writer escaped")
    }
    require(reading.credentials == [text], "the reader sees something else than was written")
}
