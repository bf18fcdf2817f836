import ArgumentParser
import Foundation
import LMDB

/// Where the daemon or the store is. Every command that speaks to one has these options.
struct ControlOptions: ParsableArguments {
    @Option(
        name: .customLong("store"),
        help: ArgumentHelp(
            "Folder of the store (also COUNTERSIGN_STORE; default: ./countersign-data, or that of this machine's service if this is not there).",
            valueName: "dir"),
        transform: PathText.argument)
    private var namedStore: String?

    /// Folder of the store.
    var store: String { namedStore ?? Self.defaultStore }

    private static var defaultStore: String {
        let own = StoreFolderOptions.defaultStore
        let isNamed = ProcessInfo.processInfo.environment[Setting.store.variable] != nil
        let isThere = FileManager.default.fileExists(atPath:)
        return !isNamed && !isThere(own) && isThere(serviceStore) ? serviceStore : own
    }

    /// Of the service that the packages install. Nobody but root and the service sees it.
    private static let serviceStore = "/var/lib/countersign/store"

    @Option(
        help: ArgumentHelp(
            "Control plane of the daemon: unix:PATH, or https://HOST:PORT with --control-key-file (also COUNTERSIGN_CONTROL; default: control.sock in the store's folder).",
            valueName: "url"))
    var control: String?

    @Option(
        help: ArgumentHelp(
            "File with the API key for an https control plane, readable by its owner only (also COUNTERSIGN_CONTROL_KEY_FILE).",
            valueName: "file"), transform: PathText.argument)
    var controlKeyFile: String?

    @Option(
        help: ArgumentHelp(
            "Certificate authority for an https control plane, PEM (default: those of the system).",
            valueName: "file"), transform: PathText.argument)
    var controlCA: String?

    @Option(
        help: ArgumentHelp(
            "In a fleet: when a change counts as done, everywhere or quorum (default: everywhere for what takes something away).",
            valueName: "reach"))
    var ack: String?

    func validate() throws {
        _ = try address
        guard ack == nil || ack == "everywhere" || ack == "quorum" else {
            throw ValidationError("--ack must be everywhere or quorum.")
        }
    }

    /// The control plane that was named; nil: that of the store. A flag counts more than a variable: who names a store means
    /// its daemon.
    private var named: String? {
        control ?? (namedStore == nil ? ProcessInfo.processInfo.environment[Self.variable] : nil)
    }

    /// Whether a control plane was named, instead of a store.
    var isNamed: Bool { named != nil }

    /// Names the control plane for all commands.
    static let variable = "COUNTERSIGN_CONTROL"

    /// The address to connect to. Does not throw after ``validate()``.
    var address: ControlAddress {
        get throws(ValidationError) {
            if let named { return try ControlAddress.parse(named) }
            return ControlAddress(socketPath: store.hasSuffix("/") ? store + "control.sock" : store + "/control.sock")
        }
    }

    /// Runs `body` with a connection to the daemon, or to the store itself when no daemon runs.
    ///
    /// - Throws: ``CommandFailure``, and what `body` throws.
    func withConnection(_ body: (ControlConnection) async throws -> Void) async throws {
        let address = try address
        guard let path = address.socketPath else { return try await overNetwork(address, body) }
        if try SocketProbe.isListening(path) { return try await ControlConnection.use(address, ack: ack, body) }
        guard named == nil else { throw nobodyListens(address) }
        try requireStoreFolder()
        let control = try await InProcessControl.opener(store)
        do {
            try await ControlConnection.use(control.address, ack: ack, body)
        } catch {
            await control.shutdown()
            throw error
        }
        await control.shutdown()
    }

    /// Runs `body` with a connection to a running daemon only.
    func withDaemon(_ body: (ControlConnection) async throws -> Void) async throws {
        let address = try address
        guard let path = address.socketPath else { return try await overNetwork(address, body) }
        guard try SocketProbe.isListening(path) else { throw nobodyListens(address) }
        try await ControlConnection.use(address, ack: ack, body)
    }

    private func overNetwork(
        _ address: ControlAddress, _ body: (ControlConnection) async throws -> Void
    ) async throws {
        let file = controlKeyFile ?? ProcessInfo.processInfo.environment["COUNTERSIGN_CONTROL_KEY_FILE"]
        guard let file else {
            throw CommandFailure(
                "A control plane on the network needs an API key. Name its file with --control-key-file.",
                status: .usage)
        }
        let field = try ControlCredential.field(fromFile: file)
        try await ControlConnection.use(address, authorization: field, authority: controlCA, ack: ack, body)
    }

    /// - Throws: ``CommandFailure`` when the store's folder does not exist: a mistyped path must not look like an empty store.
    func requireStoreFolder() throws(CommandFailure) {
        // "DIR/." exists only when DIR is a folder.
        guard FileManager.default.fileExists(atPath: store + "/.") else {
            throw CommandFailure(
                "There is no store in '\(store)'. Name its folder with --store; only 'countersign serve' makes one.")
        }
    }

    private func nobodyListens(_ address: ControlAddress) -> CommandFailure {
        CommandFailure(
            """
            No daemon listens on '\(address.text)'. Start 'countersign serve', or name the socket with --control \
            or the store's folder with --store.
            """)
    }
}

/// How the result is printed.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print one JSON object a line.")
    var json = false
}

/// The API key for a control plane on the network.
private enum ControlCredential {
    private static let bytesMax = 8_192

    /// The value of the Authorization field.
    /// - Throws: ``CommandFailure`` when other users may read the file, or it is not one line of visible ASCII characters.
    static func field(fromFile path: String) throws(CommandFailure) -> String {
        let bytes: [UInt8]
        do {
            bytes = try SecretFile.read(path: path, bytesMax: bytesMax)
        } catch {
            throw CommandFailure("The key file '\(path)' cannot be used: \(error.description).", status: .usage)
        }
        let text = String(validating: bytes, as: UTF8.self)
        guard let key = text?.trimmingCharacters(in: .whitespacesAndNewlines), !key.isEmpty,
            key.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else {
            throw CommandFailure("The key file '\(path)' must hold one key, on one line.", status: .usage)
        }
        return "ApiKey \(key)"
    }
}
