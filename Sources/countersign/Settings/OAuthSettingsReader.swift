import ControlPlane
import Foundation
import Listening
import NetworkAddress

/// Reads the settings of the authorization server.
struct OAuthSettingsReader {
    private let reader: SettingsReader

    init(_ reader: SettingsReader) {
        self.reader = reader
    }

    /// - Parameter listeners: the network addresses of `control-listen`.
    /// - Returns: the settings, nil when neither an address for OAuth nor a sign-in is set; and the addresses, with the default
    ///   one added where a sign-in is set without an address.
    /// - Throws: ``CommandFailure``.
    func settings(listeners: [ListenerAddress]) throws -> (OAuthSettings?, [ListenerAddress]) {
        let isDemonstration = try reader.truth(.demoLogin) ?? false
        let loginURL = try reader.text(.loginURL)
        let introspectionURL = try reader.text(.introspectionURL).map { try address($0, .introspectionURL) }
        let corsOrigins = try origins()
        let asked = try reader.text(.issuer)
        let serving = listeners.filter { $0.only != .administration }
        guard isDemonstration || loginURL != nil || !serving.isEmpty else { return (nil, listeners) }
        guard !isDemonstration || loginURL == nil else {
            throw reader.fault(.demoLogin, "cannot be set together with login-url: there is one sign-in")
        }
        let own = try serving.isEmpty ? [ListenerAddress("http://127.0.0.1:8081")] : serving
        guard !isDemonstration || (own + listeners).allSatisfy(\.isLocal) else {
            throw reader.fault(
                .demoLogin, "lets everybody sign in as anybody, so it is for a control-listen on loopback only")
        }
        let issuer = try asked.map { try self.issuer($0) } ?? own.lazy.compactMap { Self.loopbackIssuer($0) }.first
        guard let issuer else {
            throw reader.fault(
                .issuer, "is needed where clients come from other machines. Set the https address that they use")
        }
        let login: OAuthSettings.Login? =
            try isDemonstration ? .demonstration : loginURL.map { .application(url: try address($0, .loginURL)) }
        return (
            OAuthSettings(
                issuer: issuer, introspectionURL: introspectionURL, login: login, corsOrigins: corsOrigins),
            serving.isEmpty ? listeners + own : listeners
        )
    }

    /// The issuer in answers, also when there is no authorization server.
    func issuerOfAnswers() throws -> String? { try reader.text(.issuer).map { try issuer($0) } }

    /// The address in challenges (RFC 9728 §5.1).
    func resourceMetadata() throws -> String? {
        try reader.text(.resourceMetadata).map { try address($0, .resourceMetadata) }
    }

    /// RFC 8414 §2: https, without query and fragment. Also http on loopback, to try the service out.
    private func issuer(_ text: String) throws -> String {
        let url = try address(text, .issuer)
        guard !url.contains("?"), !url.hasSuffix("/") else {
            throw reader.fault(.issuer, "must have neither a query nor a slash at its end")
        }
        return url
    }

    private static func loopbackIssuer(_ listener: ListenerAddress) -> String? {
        guard listener.isLocal, let (host, port) = listener.hostAndPort, port != 0 else { return nil }
        return "\(listener.isEncrypted ? "https" : "http")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }

    private func address(_ text: String, _ setting: Setting) throws -> String {
        guard let url = HTTPURL(text), url.isPrivate else {
            throw reader.fault(setting, "must be an https URL; http is for loopback only")
        }
        return text
    }

    /// As browsers write them: scheme, host and port, in lower case, and no path.
    private func origins() throws -> [String] {
        let origins = try reader.list(.corsOrigins) ?? []
        for origin in origins {
            let parts = origin.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 3, parts[0] == "https:" || parts[0] == "http:", parts[1].isEmpty, !parts[2].isEmpty,
                origin == origin.lowercased()
            else {
                throw reader.fault(
                    .corsOrigins,
                    "holds '\(origin)', which is no origin. Write scheme, host and port in lower case, as https://app.example"
                )
            }
        }
        return origins
    }
}
