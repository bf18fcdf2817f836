import CredentialDigest
import CredentialStore
import Foundation
import Issuance
import Logging
import LMDB

/// Opens or creates a store together with its pepper file.
enum StoreFolder {
    /// Opens the store; creates store and pepper file where neither exists.
    ///
    /// A pepper is never made beside a store that exists: with a fresh one, every credential in it would be unknown.
    static func openOrCreate(_ settings: ServeSettings, options: StoreOptions) throws(CommandFailure) -> CredentialStore
    {
        if CredentialStore.exists(in: settings.storePath),
            let store = try open(settings.storePath, settings.pepperPath, options, vendor: settings)
        {
            return store
        }
        // Said aloud: where a volume was not mounted, an empty store answers "inactive" to everybody.
        Logger(label: "countersign").warning("creating a new store", metadata: ["store": .string(settings.storePath)])
        let hasPeppers = FileManager.default.fileExists(atPath: settings.pepperPath)
        return try naming(cacheBytes: options.cacheBytes) {
            let peppers =
                hasPeppers
                ? try PepperFileOnDisk.read(settings.pepperPath) : try PepperFileOnDisk.create(settings.pepperPath)
            return try CredentialStore.create(
                in: settings.storePath, vendor: settings.vendor ?? .iiniit, peppers: peppers, options: options)
        }
    }

    /// Nil for a file that holds no table yet: the first start ended before its first commit, so the store is still to be
    /// made. The pepper file is there by then, and it is the one to be used.
    private static func open(
        _ store: String, _ pepper: String, _ options: StoreOptions, vendor settings: ServeSettings
    ) throws(CommandFailure) -> CredentialStore? {
        try naming(cacheBytes: options.cacheBytes) {
            let peppers = try PepperFileOnDisk.read(pepper)
            do throws(StoreFailure) {
                return try CredentialStore.open(in: store, vendor: settings.vendor, peppers: peppers, options: options)
            } catch .noStore, .lmdb(.storeAbsent) {
                return nil
            }
        }
    }

    /// Opens an existing store for a command, when no daemon holds it.
    static func openExisting(_ store: String, pepperPath: String) throws(CommandFailure) -> CredentialStore {
        try naming {
            guard CredentialStore.exists(in: store) else { throw StoreFailure.noStore(directory: store) }
            let peppers = try PepperFileOnDisk.read(pepperPath)
            do {
                // The map's size is the store's own; a command needs little cache.
                return try CredentialStore.open(
                    in: store, peppers: peppers, options: StoreOptions(mapBytes: 0, cacheBytes: 1 << 20))
            } catch StoreFailure.held(.heldBy(let pid)) {
                // A daemon with a control socket elsewhere; one in the folder would have been asked.
                let holder = pid.map { "process \($0)" } ?? "another process"
                throw CommandFailure(
                    "The store in '\(store)' belongs to \(holder), which does not listen on the control.sock in it. If that is "
                        + "the daemon, name its control socket: --control unix:PATH.")
            }
        }
    }

    /// - Parameter cacheBytes: what the setting asks for, where the cache is what takes the memory.
    static func naming<Value>(
        cacheBytes: Int? = nil, _ body: () throws -> Value
    ) throws(CommandFailure) -> Value {
        do {
            return try body()
        } catch StoreFailure.lmdb(.system(ENOMEM)) {
            let most = cacheBytes.map { " (now \(ByteCount.text($0)))" } ?? ""
            throw CommandFailure(
                "The system does not give enough memory. Lower \(Setting.cacheBytes.rawValue)\(most), or raise the limit of "
                    + "the container, of the unit or of ulimit -v, of which \(Setting.storeMapBytes.rawValue) takes address space."
            )
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
