import Foundation
import NetworkAddress

/// Where the service listens, in the form of its own setting `listen`.
///
/// ```
/// unix:/run/countersign/verify.sock     http://127.0.0.1:8080     https://countersign.internal:8443
/// ```
public struct Endpoint: Sendable, Equatable, CustomStringConvertible {
    /// Why a text is no endpoint.
    public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    public let description: String
    /// Without a slash at its end.
    let baseURL: String
    let isUnixSocket: Bool

    /// Everything else of a socket's path is percent-encoded.
    private static let unescaped = CharacterSet(
        charactersIn: "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~")

    /// - Throws: ``Fault``, also for `http` to another machine: credentials would cross the network in the clear.
    public init(_ text: String) throws(Fault) {
        description = text
        if text.hasPrefix("unix:") {
            let path = text.dropFirst(5).prefix { $0 != "?" }
            // sockaddr_un holds 108 bytes with the ending zero; a dot-less path is told from a host by the slash.
            guard path.hasPrefix("/"), path.utf8.count <= 107, !path.utf8.contains(0),
                let host = path.addingPercentEncoding(withAllowedCharacters: Self.unescaped)
            else { throw Fault(description: "\(text): unix: needs an absolute path of at most 107 bytes") }
            baseURL = "http+unix://" + host
            isUnixSocket = true
            return
        }
        // The text may hold a user name and password, so the error does not repeat it.
        guard let url = HTTPURL(text), ["", "/"].contains(url.target) else {
            throw Fault(description: "an endpoint is unix:PATH, http://HOST:PORT or https://HOST:PORT")
        }
        guard url.isPrivate else {
            throw Fault(description: "\(text): cleartext goes to this machine only: use https:// or unix:")
        }
        baseURL = url.origin
        isUnixSocket = false
    }
}
