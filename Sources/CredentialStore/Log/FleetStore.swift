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
            let writer = StoreWriter(schema: store.schema, interning: store.interning, auditChain: store.auditChain)
            // By itself, since it is a change without a log, and ends the position that the store had in one.
            _ = try store.environment.write { transaction in
                try writer.begin(now: store.clock.now(), in: transaction)
                try writer.audit(AuditedAction(.fleetBegun), by: .command, in: transaction)
                try writer.end(in: transaction)
            }
            _ = try store.environment.write { transaction in
                try writer.begin(now: store.clock.now(), in: transaction)
                try writer.setFleet(name, in: transaction)
                try writer.setLogPosition(position, in: transaction)
                try writer.beginLogLevel(in: transaction)
                try writer.end(in: transaction)
            }
        }
        return position
    }

    /// Makes a store for another node of a fleet.
    /// - Parameters:
    ///   - backup: of any node's store.
    ///   - takesFile: the file becomes the store's, instead of being copied. It must be on the same file system.
    ///   - directory: where there is no store yet.
    /// - Returns: the position of the store in the log.
    /// - Throws: ``StoreFailure/storeExists(directory:)``, ``SharedLogFailure/notOfFleet(name:other:)`` for the backup of
    ///   another store, and whatever opening can throw. Then nothing is there.
    @available(*, noasync)
    public static func joinFleet(
        _ name: String, from backup: String, takesFile: Bool = false, to directory: String, peppers: PepperFile,
        options: StoreOptions = StoreOptions()
    ) throws(StoreFailure) -> LogPosition {
        guard !exists(in: directory) else { throw .storeExists(directory: directory) }
        let file = directory + "/data.mdb"
        do throws(StoreFailure) {
            try convertingErrors { () throws in
                _ = try DurableDirectory.create(path: directory)
                if takesFile {
                    try RegularFile.move(backup, to: file)
                } else {
                    try FileCopy.copy(backup, to: file) { _ in }
                }
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

    /// Where a store of a fleet stands that no process holds, and what it knows of leases.
    /// - Throws: ``SharedLogFailure/notOfFleet(name:other:)`` and whatever opening can throw.
    @available(*, noasync)
    public static func fleetState(
        _ name: String, in directory: String, peppers: PepperFile, options: StoreOptions = StoreOptions()
    ) throws(StoreFailure) -> (position: LogPosition, memory: FleetMemory) {
        var options = options
        (options.fleet, options.logDirectory) = (FleetOptions(name: name, pepperPath: ""), nil)
        let store = try open(in: directory, peppers: peppers, options: options)
        defer { store.close() }
        guard let position = try store.logPosition() else { throw .log(.noPosition) }
        return (position, try store.fleetMemory())
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
                writer, transaction in
                try writer.beginIncarnation(above: 0, in: transaction)
                try writer.audit(AuditedAction(.fleetLeft), by: .command, in: transaction)
            }
            store.close()
            return name
        }
        throw .shared(.ofNoFleet)
    }
}

/// What a store knows of the leases of its fleet, for a log that is begun anew when etcd is lost.
public struct FleetMemory: Sendable, Equatable {
    /// The longest that any node has had, in nanoseconds.
    public var longestLease: UInt64
    /// Nodes whose clocks may stand still, by their number, with their names. A lease of theirs may outlast any time.
    public var pausableNodes: [UInt64: String]
}

extension CredentialStore {
    /// See ``FleetMemory``.
    public func fleetMemory() throws(StoreFailure) -> FleetMemory {
        try reading { transaction in
            let meta = MetaTable(schema)
            return FleetMemory(
                longestLease: try meta.number(.longestLease, in: transaction) ?? 0,
                pausableNodes: try meta.pausableNodes(in: transaction))
        }
    }

    /// Remembers how long leases are.
    public func remember(longestLease: UInt64) async throws {
        try await write(creates: false, reach: .own) { writer, transaction in
            try writer.changeLocally(in: transaction) { () throws(StoreFailure) in
                try writer.setNumber(.longestLease, longestLease, in: transaction)
            }
        }
    }

    /// Tells all nodes of one whose clock may stand still, or that it has ended. An entry of the log, which is lost no more
    /// than any other: a log that is begun anew must know of each such node.
    /// - Parameter name: nil when it has ended.
    public func announce(pausableNode node: UInt64, name: String?) async throws {
        try await write(creates: false, reach: .node) { writer, transaction in
            let row = MetaName.pausableNode(node)
            let known = try MetaTable(writer.schema).value(row, in: transaction)
            let value = name.map { Array($0.utf8) }
            if known != value { try writer.perform(.meta(row, value), in: transaction) }
        }
    }

    /// The start of a node that had this very store before; nil if it may have been another store. Another process that
    /// had it has ended, since this one holds its lock.
    public func lastStart() throws(StoreFailure) -> UInt64? {
        let place = StorePlace.of(directory)
        return try reading { transaction in
            guard let row = try MetaTable(schema).value(.lastStart, in: transaction), let place else { return nil }
            return StartRow(row).flatMap { $0.place.isSame(as: place) ? $0.node : nil }
        }
    }

    /// Remembers a start of a node.
    public func remember(start node: UInt64) async throws {
        guard let place = StorePlace.of(directory) else { return }
        try await write(creates: false, reach: .own) { writer, transaction in
            try writer.changeLocally(in: transaction) { () throws(StoreFailure) in
                try MetaTable(writer.schema).put(
                    .lastStart, StartRow(node: node, place: place).bytes, in: transaction)
            }
        }
    }
}

/// Which file on which machine a store is. A copy of it is another one.
struct StorePlace: Equatable {
    let inode: UInt64
    /// Of the kernel that runs.
    let boot: String
    /// Of the installation; empty if there is none.
    let machine: String

    /// - Returns: nil if it cannot be told.
    static func of(_ directory: String) -> StorePlace? {
        guard let inode = RegularFile.inode(directory + "/data.mdb"),
            let boot = RegularFile.line("/proc/sys/kernel/random/boot_id"), !boot.isEmpty
        else { return nil }
        return StorePlace(inode: inode, boot: boot, machine: RegularFile.line("/etc/machine-id") ?? "")
    }

    func isSame(as other: StorePlace) -> Bool {
        inode == other.inode && (boot == other.boot || (!machine.isEmpty && machine == other.machine))
    }
}

/// The row of the last start: node, inode, boot and machine.
private struct StartRow {
    let node: UInt64
    let place: StorePlace

    init(node: UInt64, place: StorePlace) { (self.node, self.place) = (node, place) }

    init?(_ row: [UInt8]) {
        let parts = String(decoding: row, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 4, let node = UInt64(parts[0], radix: 16), let inode = UInt64(parts[1]) else { return nil }
        self.node = node
        place = StorePlace(inode: inode, boot: String(parts[2]), machine: String(parts[3]))
    }

    var bytes: [UInt8] {
        Array("\(String(node, radix: 16)) \(place.inode) \(place.boot) \(place.machine)".utf8)
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
