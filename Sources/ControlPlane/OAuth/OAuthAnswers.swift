import AdministrationAPI
import HTTPTypes
import Hummingbird
import Issuance
import NIOCore
import NetworkAddress

extension OAuthError {
    /// RFC 6749 §5.2; trouble is 503 and never a verdict.
    var status: HTTPResponse.Status {
        switch code {
        case .invalidClient: .unauthorized
        case .temporarilyUnavailable: .serviceUnavailable
        case .serverError: .internalServerError
        default: .badRequest
        }
    }

    /// The answer of an endpoint that programs call.
    func response(realm: String) -> Response {
        var response = Response.error(code.rawValue, reason, status: status)
        if code == .invalidClient { response.headers[.wwwAuthenticate] = "Basic realm=\"\(realm)\"" }
        if code == .temporarilyUnavailable { response.headers[.retryAfter] = "1" }
        return response
    }
}

extension Response {
    /// A JSON object that no cache keeps (RFC 6749 §5.1).
    static func oauth(_ members: JSONLine, status: HTTPResponse.Status = .ok) -> Response {
        var response = Response(
            status: status, headers: [.contentType: "application/json", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: members.bytes)))
        response.headers.set("Pragma", to: "no-cache")
        return response
    }

    static func error(_ code: String, _ reason: String? = nil, status: HTTPResponse.Status) -> Response {
        var members = JSONLine()
        members.add("error", code)
        if let reason { members.add("error_description", reason) }
        return oauth(members, status: status)
    }

    /// Sends a browser somewhere with GET, whatever it came with (RFC 9700 §4.12), and tells nobody where it came from.
    static func seeOther(_ address: String) -> Response {
        var response = Response(status: .seeOther, headers: [.location: address])
        response.headers[.cacheControl] = "no-store"
        response.headers[.contentSecurityPolicy] = "default-src 'none'; frame-ancestors 'none'"
        response.headers.set("Referrer-Policy", to: "no-referrer")
        return response
    }
}

extension HTTPFields {
    /// Sets a field for whose name swift-http-types has no constant. What is no field name sets nothing.
    mutating func set(_ name: String, to value: String) {
        guard let name = HTTPField.Name(name) else { return }
        self[name] = value
    }
}

enum WebAddress {
    /// Adds parameters that have a value to an address, which may have a query already.
    static func adding(_ parameters: [(name: String, value: String?)], to base: String) -> String {
        var text = base
        for (name, value) in parameters {
            guard let value else { continue }
            let hasQuery = text.contains("?")
            if !hasQuery { text += "?" } else if !text.hasSuffix("?"), !text.hasSuffix("&") { text += "&" }
            text += name + "=" + PercentEncoding.encode(value)
        }
        return text
    }
}
