import Foundation

extension ControlOptions {
    /// Runs `body` with a connection to the daemon, or to the store itself when no daemon runs.
    ///
    /// - Throws: ``CommandFailure``, and what `body` throws.
    func withConnection(_ body: (ControlConnection) async throws -> Void) async throws {
        if try await SocketProbe.isListening(address.socketPath) {
            return try await ControlConnection.use(address, body)
        }
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
        guard try await SocketProbe.isListening(address.socketPath) else { throw nobodyListens }
        try await ControlConnection.use(address, body)
    }

    private var nobodyListens: CommandFailure {
        CommandFailure(
            """
            No daemon listens on '\(address.socketPath)'. Start 'countersign serve', or name the socket with --control \
            or the store's folder with --store.
            """)
    }
}
