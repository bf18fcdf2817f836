import Foundation

extension ControlOptions {
    /// Runs `body` with a connection to the daemon, or to the store itself when no daemon runs.
    ///
    /// - Throws: ``CommandFailure``, and what `body` throws.
    func withConnection(_ body: (ControlConnection) async throws -> Void) async throws {
        guard let path = address.socketPath else { return try await overNetwork(body) }
        if try await SocketProbe.isListening(path) { return try await ControlConnection.use(address, body) }
        guard control == nil, let opener = InProcessControl.opener ?? InProcessControl.composed.withLock({ $0 }) else {
            throw nobodyListens
        }
        // "DIR/." is there only when DIR is a folder.
        guard FileManager.default.fileExists(atPath: store + "/.") else {
            throw CommandFailure(
                "There is no store in '\(store)'. Name its folder with --store; only 'countersign serve' makes one.")
        }
        let control = try await opener(store)
        do {
            try await ControlConnection.use(control.address, body)
        } catch {
            await control.shutdown()
            throw error
        }
        await control.shutdown()
    }

    /// Runs `body` with a connection to a running daemon only.
    func withDaemon(_ body: (ControlConnection) async throws -> Void) async throws {
        guard let path = address.socketPath else { return try await overNetwork(body) }
        guard try await SocketProbe.isListening(path) else { throw nobodyListens }
        try await ControlConnection.use(address, body)
    }

    private func overNetwork(_ body: (ControlConnection) async throws -> Void) async throws {
        let file = controlKeyFile ?? ProcessInfo.processInfo.environment["COUNTERSIGN_CONTROL_KEY_FILE"]
        guard let file else {
            throw CommandFailure(
                "A control plane on the network wants a key: name its file with --control-key-file.", status: .usage)
        }
        let field = try ControlCredential.field(fromFile: file)
        try await ControlConnection.use(address, authorization: field, authority: controlCA, body)
    }

    private var nobodyListens: CommandFailure {
        CommandFailure(
            """
            No daemon listens on '\(address.text)'. Start 'countersign serve', or name the socket with --control \
            or the store's folder with --store.
            """)
    }
}
