import ArgumentParser

/// Where the daemon or the store is. Every verb has these.
struct ControlOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Folder of the store.", valueName: "dir"))
    var store = "./countersign-data"

    @Option(
        help: ArgumentHelp(
            "Control socket of the daemon, as unix:PATH (default: control.sock in the store's folder).",
            valueName: "url"))
    var control: ControlAddress?

    /// The socket to try.
    var address: ControlAddress {
        control ?? ControlAddress(socketPath: store.hasSuffix("/") ? store + "control.sock" : store + "/control.sock")
    }
}

/// How the result is printed.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print one JSON object a line.")
    var json = false
}

/// The address of a control plane: `unix:PATH`.
struct ControlAddress: Equatable, Sendable, ExpressibleByArgument {
    let socketPath: String

    init(socketPath: String) {
        self.socketPath = socketPath
    }

    init?(argument: String) {
        guard argument.hasPrefix("unix:") else { return nil }
        let path = argument.dropFirst("unix:".count)
        guard !path.isEmpty, !path.contains("?") else { return nil }
        self.init(socketPath: String(path))
    }

    /// The address as a URL that the HTTP client takes, without a path.
    var baseURL: String { "http+unix://\(URLText.encode(socketPath))" }
}
