import ArgumentParser
import CredentialDigest
import CredentialStore
import Dispatch
import Foundation
import Issuance
import LMDB
import Logging

/// Opens or creates a store together with its pepper file.
enum StoreFolder {
    /// Opens the store. Where there is none, creates it, and the pepper file if that does not exist either.
    ///
    /// A pepper file is never created for an existing store: with a new pepper, every credential in it would be unknown.
    static func openOrCreate(_ settings: ServeSettings, options: StoreOptions) throws(CommandFailure) -> CredentialStore
    {
        if CredentialStore.exists(in: settings.storePath),
            let store = try open(settings.storePath, settings.pepperPath, options, vendor: settings)
        {
            return store
        }
        guard settings.fleet == nil else {
            throw CommandFailure("There is no store in '\(settings.storePath)', although one was copied to it.")
        }
        // A warning: when a volume was not mounted, the new empty store reports every credential as inactive.
        Logger(label: "countersign").warning("creating a new store", metadata: ["store": .string(settings.storePath)])
        let hasPeppers = FileManager.default.fileExists(atPath: settings.pepperPath)
        return try reportingFailures(cacheBytes: options.cacheBytes) {
            let peppers =
                hasPeppers
                ? try PepperFileOnDisk.read(settings.pepperPath) : try PepperFileOnDisk.create(settings.pepperPath)
            return try CredentialStore.create(
                in: settings.storePath, vendor: settings.vendor ?? .iiniit, peppers: peppers, options: options)
        }
    }

    /// Nil for a file without tables: the first start ended before its first commit, so the store is still to be created. The
    /// pepper file exists by then, and is used.
    private static func open(
        _ store: String, _ pepper: String, _ options: StoreOptions, vendor settings: ServeSettings
    ) throws(CommandFailure) -> CredentialStore? {
        try reportingFailures(cacheBytes: options.cacheBytes) {
            let peppers = try PepperFileOnDisk.read(pepper)
            do throws(StoreFailure) {
                return try CredentialStore.open(in: store, vendor: settings.vendor, peppers: peppers, options: options)
            } catch .noStore, .lmdb(.storeAbsent) {
                return nil
            }
        }
    }

    /// 0: the map has the size that the store records. A command needs little cache.
    static let commandOptions = StoreOptions(mapBytes: 0, cacheBytes: 1 << 20)

    /// Opens an existing store for a command, when no daemon holds it.
    /// - Throws: ``CommandFailure`` also when another process holds the store.
    static func openExisting(_ store: String, pepperPath: String) throws(CommandFailure) -> CredentialStore {
        try reportingFailures {
            guard CredentialStore.exists(in: store) else { throw StoreFailure.noStore(directory: store) }
            let peppers = try PepperFileOnDisk.read(pepperPath)
            do {
                var options = commandOptions
                options.logDirectory = ProcessInfo.processInfo.environment[Setting.storeLog.variable].map {
                    ServeSettings.normalised($0)
                }
                options.mayLeaveLog = false
                return try CredentialStore.open(in: store, peppers: peppers, options: options)
            } catch StoreFailure.held(.heldBy(let pid)) {
                // Probably a daemon with its control socket elsewhere: the one in the folder was tried before.
                let holder = pid.map { "process \($0)" } ?? "another process"
                throw CommandFailure(
                    "The store in '\(store)' is held by \(holder), which does not listen on the control.sock in it. If that is "
                        + "the daemon, name its control socket with --control unix:PATH.")
            }
        }
    }

    /// Closes the store. Not on a cooperative thread, since it waits for the writer thread.
    static func close(_ store: CredentialStore) async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                store.close()
                continuation.resume()
            }
        }
    }

    /// Runs long work on a thread of its own, so that it blocks none of the cooperative ones.
    /// - Throws: ``CommandFailure``.
    static func offThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await WorkThreads.long.run { try reportingFailures(body) }
    }

    /// Runs `body` and turns errors of store and issuance into sentences.
    /// - Parameter cacheBytes: the setting, for the sentence about too little memory.
    static func reportingFailures<Value>(
        cacheBytes: Int? = nil, _ body: () throws -> Value
    ) throws(CommandFailure) -> Value {
        do {
            return try body()
        } catch StoreFailure.lmdb(.system(ENOMEM)) {
            let most = cacheBytes.map { " (now \(ByteCount.text($0)))" } ?? ""
            throw CommandFailure(
                "The system does not give this process enough memory. Lower \(Setting.cacheBytes.rawValue)\(most), or raise "
                    + "the limit of the container, of the unit or of ulimit -v. \(Setting.storeMapBytes.rawValue) counts for the latter."
            )
        } catch StoreFailure.log(.continuedElsewhere(let since)) {
            throw CommandFailure(
                "The log ends, and the store went on with another one, which began at \(TimeText.utc(since.rawValue)). What was "
                    + "changed then, revocations included, does not fit this backup. Take a backup made since, or say with "
                    + "--log-until up to which earlier time.")
        } catch let failure as StoreFailure {
            throw CommandFailure("\(failure.description).")
        } catch let error as IssuanceError {
            throw CommandFailure("\(error.message).")
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure("An unexpected failure: \(type(of: error)).")
        }
    }
}

/// The folder and pepper file of a store, for commands that work on them themselves and not through a daemon.
struct StoreFolderOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Folder of the store (also COUNTERSIGN_STORE; default: ./countersign-data).", valueName: "dir"),
        transform: PathText.argument)
    var store = Self.defaultStore

    /// Without `--store`.
    static var defaultStore: String {
        ProcessInfo.processInfo.environment[Setting.store.variable] ?? "./countersign-data"
    }

    @Option(
        help: ArgumentHelp(
            "Pepper file of the store (also COUNTERSIGN_PEPPER_FILE; default: the folder's name and '.pepper').",
            valueName: "file"),
        transform: PathText.argument)
    var pepperFile: String?

    /// The folder without a slash at its end, since the old folder and the pepper file are named after it.
    var path: String { URL(fileURLWithPath: store).standardizedFileURL.path }

    func peppers() throws -> PepperFile {
        let path = pepperFile ?? ProcessInfo.processInfo.environment[Setting.pepperFile.variable] ?? path + ".pepper"
        return try StoreFolder.reportingFailures { try PepperFileOnDisk.read(path) }
    }
}
