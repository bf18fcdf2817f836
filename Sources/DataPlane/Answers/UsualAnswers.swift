import HTTPWire

/// What does not change within a second in the answers that nearly all requests get: those over HTTP/1.1 on a connection
/// that stays open.
struct UsualAnswers {
    /// The head for an active credential, up to the empty line; the length is missing.
    let active: [UInt8]
    /// All of the answer for one that is not active.
    let inactive: [UInt8]
    /// The head of `/verify` for a credential that may pass, up to the value of its first field.
    let allowed: [UInt8]

    static let inactiveBody: StaticString = "{\"active\":false}"

    init(dateLine: [UInt8]) {
        let date = String(decoding: dateLine, as: UTF8.self)
        let json = "Content-Type: application/json\r\nCache-Control: no-store\r\n"
        active = Array("HTTP/1.1 200 OK\r\n\(date)\(json)Content-Length: \(LengthSlot.blank)\r\n\r\n".utf8)
        let length = Self.inactiveBody.utf8CodeUnitCount
        inactive = Array(
            "HTTP/1.1 200 OK\r\n\(date)\(json)Content-Length: \(length)\r\n\r\n\(Self.inactiveBody)".utf8)
        allowed = Array(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\(date)Cache-Control: private, no-store\r\nX-Auth-Subject: ".utf8)
    }
}
