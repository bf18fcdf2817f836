public import CredentialDigest
import LMDB

// How a store becomes one of a fleet, and one of its own again. No process may hold it.

extension CredentialStore {
    /// Makes a store that no process holds the first one of a fleet, at the beginning of a new log.
    ///
    /// The others begin with a copy of it.
    /// - Returns: the beginning of the log.
    /// - Throws: ``SharedLogFailure/belongsToFleet(name:)`` and whatever opening can throw.
    @available(*, noasync)
    public static func beginFleet(
        _ name: String, in directory: String, peppers: PepperFile, options: StoreOptions = StoreOptions()
    ) throws(StoreFailure) -> LogPosition {
        var options = options
        (options.fleet, options.logDirectory) = (nil, nil)
        let store = try open(in: directory, peppers: peppers, options: options)
        defer { store.close() }
        let position = LogPosition.beginning()
        try convertingErrors { () throws in
            _ = try store.environment.write { transaction in
                let writer = StoreWriter(
                    schema: store.schema, interning: store.interning, auditChain: store.auditChain)
                try writer.begin(now: store.clock.now(), in: transaction)
                try writer.setFleet(name, in: transaction)
                try writer.setLogPosition(position, in: transaction)
                try writer.end(in: transaction)
            }
        }
        return position
    }

    /// Makes a store for another node of a fleet.
    /// - Parameters:
    ///   - backup: of any node's store.
    ///   - directory: where there is no store yet.
    /// - Returns: the position of the store in the log.
    /// - Throws: ``StoreFailure/storeExists(directory:)``, ``SharedLogFailure/notOfFleet(name:other:)`` for the backup of
    ///   another store, and whatever opening can throw. Then nothing is there.
    @available(*, noasync)
    public static func joinFleet(
        _ name: String, from backup: String, to directory: String, peppers: PepperFile,
        options: StoreOptions = StoreOptions()
    ) throws(StoreFailure) -> LogPosition {
        guard !exists(in: directory) else { throw .storeExists(directory: directory) }
        let file = directory + "/data.mdb"
        do throws(StoreFailure) {
            try convertingErrors { () throws in
                _ = try DurableDirectory.create(path: directory)
                try FileCopy.copy(backup, to: file) { _ in }
            }
            var options = options
            (options.fleet, options.logDirectory) = (FleetOptions(name: name, pepperPath: ""), nil)
            let store = try open(in: directory, peppers: peppers, options: options)
            defer { store.close() }
            guard let position = try store.logPosition() else { throw StoreFailure.log(.noPosition) }
            return position
        } catch {
            try? RegularFile.remove(file)
            switch error {
            case .lmdb(.notAStore), .lmdb(.notFound), .noStore, .lmdb(.versionMismatch):
                throw .notABackup(path: backup)
            default: throw error
            }
        }
    }

    /// Makes a store of a fleet one of its own, as another incarnation.
    /// - Returns: the name of the fleet.
    @available(*, noasync)
    public static func leaveFleet(
        in directory: String, peppers: PepperFile, options: StoreOptions = StoreOptions()
    ) throws(StoreFailure) -> String {
        do throws(StoreFailure) {
            try open(in: directory, peppers: peppers, options: options).close()
        } catch .shared(.belongsToFleet(let name)) {
            let store = try open(directory, creating: nil, expected: nil, peppers: peppers, options: options) {
                writer, transaction in try writer.beginIncarnation(above: 0, in: transaction)
            }
            store.close()
            return name
        }
        throw .shared(.ofNoFleet)
    }
}

extension StoreWriter {
    /// Says to which fleet the store belongs; nil for none.
    func setFleet(_ name: String?, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try changeLocally(in: transaction) { () throws(StoreFailure) in
            try MetaTable(schema).set(MetaName.fleet.key, name.map { Array($0.utf8) }, in: transaction)
        }
    }
}
