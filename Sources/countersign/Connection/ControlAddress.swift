import ArgumentParser
import Foundation

/// The address of a control plane: `unix:PATH`, `https://HOST:PORT`, or `http://` on loopback.
struct ControlAddress: Equatable, Sendable, ExpressibleByArgument {
    /// Nil for an address on the network.
    let socketPath: String?
    /// As a URL that the HTTP client takes, without a path.
    let baseURL: String
    /// As it was given.
    let text: String

    private init(socketPath: String?, baseURL: String, text: String) {
        self.socketPath = socketPath
        self.baseURL = baseURL
        self.text = text
    }

    init(socketPath: String) {
        self.init(
            socketPath: socketPath, baseURL: "http+unix://\(URLText.encode(socketPath))", text: socketPath)
    }

    init?(argument: String) {
        if argument.hasPrefix("unix:") {
            let path = argument.dropFirst("unix:".count)
            guard !path.isEmpty, !path.contains("?") else { return nil }
            self.init(socketPath: String(path))
            return
        }
        // Nothing but scheme, host and port: a user's name and password in it would stand in the list of processes.
        guard let url = URL(string: argument), let host = url.host(), !host.isEmpty, url.user() == nil,
            ["", "/"].contains(url.path()), url.query() == nil, url.fragment() == nil,
            url.scheme == "https" || (url.scheme == "http" && Self.isLoopback(host))
        else { return nil }
        let text = argument.hasSuffix("/") ? String(argument.dropLast()) : argument
        self.init(socketPath: nil, baseURL: text, text: text)
    }

    private static func isLoopback(_ host: String) -> Bool {
        host == "localhost" || host == "::1" || host == "[::1]" || host.hasPrefix("127.")
    }
}
