import ArgumentParser
import Foundation

/// Where the daemon or the store is. Every verb has these.
struct ControlOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Folder of the store (also COUNTERSIGN_STORE; default: ./countersign-data).", valueName: "dir"),
        transform: PathText.argument)
    var store = Self.defaultStore

    /// Where the store is unless a command is told.
    static var defaultStore: String {
        ProcessInfo.processInfo.environment[Setting.store.variable] ?? "./countersign-data"
    }

    @Option(
        help: ArgumentHelp(
            "Control plane of the daemon: unix:PATH, or https://HOST:PORT with --control-key-file (default: control.sock in the store's folder).",
            valueName: "url"), transform: ControlAddress.parse)
    var control: ControlAddress?

    @Option(
        help: ArgumentHelp(
            "File with the API key for an https control plane, readable by its owner only (also COUNTERSIGN_CONTROL_KEY_FILE).",
            valueName: "file"), transform: PathText.argument)
    var controlKeyFile: String?

    @Option(
        help: ArgumentHelp(
            "Authority that an https control plane's certificate must be signed by, PEM (default: the system's).",
            valueName: "file"), transform: PathText.argument)
    var controlCA: String?

    /// The address to try.
    var address: ControlAddress {
        control ?? ControlAddress(socketPath: store.hasSuffix("/") ? store + "control.sock" : store + "/control.sock")
    }
}

/// How the result is printed.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print one JSON object a line.")
    var json = false
}
