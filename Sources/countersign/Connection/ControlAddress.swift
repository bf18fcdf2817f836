import ArgumentParser
import NetworkAddress

/// The address of a control plane: `unix:PATH`, `https://HOST:PORT`, or `http://` on loopback.
struct ControlAddress: Equatable, Sendable {
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

    /// - Throws: what it should be, without the text: it may hold a password.
    static func parse(_ argument: String) throws -> ControlAddress {
        guard let address = ControlAddress(argument: argument) else {
            throw ValidationError(
                "--control takes unix:PATH or https://HOST:PORT; http:// is for loopback only, since the key would cross the "
                    + "network in the clear. No user name, path or query.")
        }
        return address
    }

    init?(argument: String) {
        if argument.hasPrefix("unix:") {
            let path = argument.dropFirst("unix:".count)
            guard !path.isEmpty, !path.contains("?") else { return nil }
            self.init(socketPath: String(path))
            return
        }
        // Nothing but scheme, host and port: a user name and password in it would be visible in the list of processes.
        guard let url = HTTPURL(argument), ["", "/"].contains(url.target), url.isPrivate else { return nil }
        self.init(socketPath: nil, baseURL: url.origin, text: url.origin)
    }
}
