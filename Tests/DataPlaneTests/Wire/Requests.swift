import Foundation
import NIOCore

/// A request with `Host` and the fields given, one a string.
func request(_ line: String, _ fields: [String] = [], body: String = "") -> String {
    var text = "\(line) HTTP/1.1\r\nHost: countersign\r\n"
    for field in fields { text += field + "\r\n" }
    if !body.isEmpty { text += "Content-Length: \(body.utf8.count)\r\n" }
    return text + "\r\n" + body
}

/// An introspection of a form.
func introspection(_ form: String, _ fields: String?..., path: String = "/oauth2/introspect") -> String {
    request(
        "POST \(path)", ["Content-Type: application/x-www-form-urlencoded"] + fields.compactMap { $0 }, body: form)
}

/// A check by forward-auth.
func verification(_ query: String = "", method: String = "GET", _ fields: String?...) -> String {
    request("\(method) /verify\(query)", fields.compactMap { $0 })
}

func verification(_ query: String = "", method: String = "GET", fields: [String]) -> String {
    request("\(method) /verify\(query)", fields)
}

/// The field with Basic credentials (RFC 7617).
func basic(_ id: String, _ secret: String) -> String {
    "Authorization: Basic " + Data("\(id):\(secret)".utf8).base64EncodedString()
}

func apiKey(_ key: String) -> String { "Authorization: ApiKey \(key)" }
func bearer(_ token: String) -> String { "Authorization: Bearer \(token)" }

/// Every byte percent-encoded.
func percentEncoded(_ text: String) -> String {
    text.utf8.map { "%" + String(format: "%02X", Int($0)) }.joined()
}
