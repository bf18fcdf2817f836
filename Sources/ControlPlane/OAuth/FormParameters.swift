import HTTPTypes
import Hummingbird
import Issuance
import NIOCore
import NetworkAddress

/// The parameters of an OAuth request, from a form or a query (RFC 6749 §3.1, §3.2): unknown parameters are ignored,
/// one without a value counts as absent, and a repeated one makes the request invalid.
struct FormParameters: Sendable {
    private var values: [String: [String]] = [:]

    /// Nil for text that is not percent-encoded UTF-8.
    init?(_ text: some StringProtocol) {
        // By bytes, which is several times faster than by characters; the delimiters are ASCII and cannot be inside
        // one.
        for pair in Array(text.utf8).split(separator: UInt8(ascii: "&")) {
            let end = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            guard let name = PercentEncoding.decode(bytes: pair[..<end], plusIsSpace: true),
                let value = PercentEncoding.decode(bytes: pair[end...].dropFirst(), plusIsSpace: true)
            else { return nil }
            if !value.isEmpty { values[name, default: []].append(value) }
        }
    }

    /// A parameter that may be given once; nil if it is absent.
    func one(_ name: String) throws(OAuthError) -> String? {
        guard let found = values[name] else { return nil }
        guard found.count == 1 else { throw OAuthError(.invalidRequest, "\(name) is given more than once") }
        return found[0]
    }

    /// A parameter that must be given, once.
    func required(_ name: String) throws(OAuthError) -> String {
        guard let value = try one(name) else { throw OAuthError(.invalidRequest, "\(name) is missing") }
        return value
    }

    /// A parameter that may be repeated.
    func all(_ name: String) -> [String] { values[name] ?? [] }

    /// - Throws: if any of the named parameters is given more than once.
    func requireOnce(_ names: [String]) throws(OAuthError) {
        for name in names { _ = try one(name) }
    }
}

/// Reads the form of a request (RFC 6749 Appendix B).
enum OAuthForm {
    private static let bytesMax = 64 * 1_024

    /// - Parameter admitHead: checks the head of a request whose client waits for `100 Continue`. Throws to refuse it.
    static func read(
        _ request: Request, from peer: Peer, admitHead: () throws(OAuthError) -> Void = {}
    ) async throws(OAuthError) -> FormParameters {
        // Without a media type the body is read as a form: some clients leave the type out, and nothing else is
        // possible.
        let type = request.headers[.contentType].map {
            $0.lowercased().prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }
        }
        guard type ?? "application/x-www-form-urlencoded" == "application/x-www-form-urlencoded" else {
            throw OAuthError(.invalidRequest, "send the parameters as application/x-www-form-urlencoded")
        }
        guard request.uri.query == nil else {
            // RFC 6749 §2.3.1: secrets must not be in the URI.
            throw OAuthError(.invalidRequest, "parameters must be in the body and not in the URI")
        }
        if request.headers[.expect] != nil { try admitHead() }
        let text: String?
        do {
            let buffer = try await request.readBody(upTo: bytesMax, from: peer)
            text = String(validating: buffer.readableBytesView, as: UTF8.self)
        } catch is NIOTooManyBytesError {
            throw OAuthError(.invalidRequest, "the body has more than \(bytesMax) bytes")
        } catch {
            throw OAuthError(.invalidRequest, "the body was cut off")
        }
        guard let text, let parameters = FormParameters(text) else {
            throw OAuthError(.invalidRequest, "the body is not percent-encoded UTF-8")
        }
        return parameters
    }
}
