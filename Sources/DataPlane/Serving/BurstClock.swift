import CredentialModel
import HTTPWire

/// The time of one burst, and the parts of responses that depend on it.
///
/// Replaced as a whole: every access to a variable of an object that is modified by calls is checked at run time.
struct BurstClock {
    /// The time at which the credentials of this burst are verified.
    let now: UnixSeconds
    /// The `Date` field of this second (RFC 9110 §6.6.1), with its name and line end.
    let dateLine: [UInt8]
    /// The start of the most frequent responses of this second.
    let prepared: PreparedAnswers
    /// Seconds since the start of the loop, for deadlines.
    var seconds: Int64

    init(at now: UnixSeconds, seconds: Int64) {
        self.now = now
        self.seconds = seconds
        dateLine = Array("Date: \(HTTPDate.text(now.rawValue))\r\n".utf8)
        prepared = PreparedAnswers(dateLine: dateLine)
    }
}

/// Parts of the most frequent responses that are constant within a second: those over HTTP/1.1 on a persistent
/// connection.
struct PreparedAnswers {
    /// The head for an active credential, up to the empty line, without the length.
    let active: [UInt8]
    /// The complete response for an inactive credential.
    let inactive: [UInt8]
    /// The head of `/verify` for an accepted credential, up to the value of its first field.
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
