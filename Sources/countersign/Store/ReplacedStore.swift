import ArgumentParser
import CredentialDigest
import CredentialStore
import Foundation
import Issuance

/// The store that `restore` and `upgrade` replace: they work on its folder while no daemon runs.
struct ReplacedStore: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Folder of the store (also COUNTERSIGN_STORE; default: ./countersign-data).", valueName: "dir"),
        transform: PathText.argument)
    var store = ControlOptions.defaultStore

    @Option(
        help: ArgumentHelp("Pepper file of the store (default: the folder's name and '.pepper').", valueName: "file"),
        transform: PathText.argument)
    var pepperFile: String?

    /// The folder without a slash at its end: its neighbours are named after it.
    var path: String { URL(fileURLWithPath: store).standardizedFileURL.path }

    func peppers() throws -> PepperFile {
        let path = pepperFile ?? ProcessInfo.processInfo.environment[Setting.pepperFile.variable] ?? path + ".pepper"
        return try StoreFolder.naming { try PepperFileOnDisk.read(path) }
    }

    /// The map is as large as the store says; a command needs little cache.
    static let options = StoreOptions(mapBytes: 0, cacheBytes: 1 << 20)

    /// Runs a long piece of work off the cooperative threads, and names a failure of the store.
    static func offThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await WorkThreads.long.run { try StoreFolder.naming(body) }
    }
}
