import ArgumentParser
import Listening
import NetworkAddress

/// The address of a control plane: `unix:PATH`, `https://HOST:PORT`, or `http://` on loopback.
struct ControlAddress: Equatable, Sendable {
    /// Nil for an address on the network.
    let socketPath: String?
    /// The URL without a path, in the form that the HTTP client takes.
    let baseURL: String
    /// The address for messages.
    let text: String

    private init(socketPath: String?, baseURL: String, text: String) {
        self.socketPath = socketPath
        self.baseURL = baseURL
        self.text = text
    }

    init(socketPath: String) {
        self.init(
            socketPath: socketPath, baseURL: "http+unix://\(PercentEncoding.encode(socketPath))", text: socketPath)
    }

    /// - Throws: `ValidationError` that says what to write instead. It does not repeat the text, which may hold a password. So
    ///   this must not be the `transform` of an option: the parser writes the value before what that throws.
    static func parse(_ argument: String) throws(ValidationError) -> ControlAddress {
        guard let address = ControlAddress(argument: argument) else {
            throw ValidationError(
                "--control takes unix:PATH or https://HOST:PORT, without user name, path or query. http:// is for loopback only, "
                    + "since the key would cross the network in cleartext.")
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
        // Only scheme, host and port: every user of the machine can see the arguments of processes, a password included.
        guard let url = HTTPURL(argument), ["", "/"].contains(url.target), url.isPrivate else { return nil }
        self.init(socketPath: nil, baseURL: url.origin, text: url.origin)
    }
}

/// Tests whether a daemon listens on a socket, before a request is sent to it.
enum SocketProbe {
    /// - Throws: ``CommandFailure`` if that cannot be determined, for example without permission.
    static func isListening(_ path: String) throws(CommandFailure) -> Bool {
        do throws(UnixSocketFile.Fault) {
            return try UnixSocketFile.isListening(path)
        } catch {
            throw CommandFailure("The control socket cannot be used: \(error.description).")
        }
    }
}
