import CredentialDigest
import CredentialModel
import Foundation
import Issuance
public import LMDB
import Synchronization

@testable public import CredentialStore

/// All rows of a store by table, except those that each store has for itself: last uses, the time, and its place in the log.
public struct StoreContents: Equatable {
    public var tables: [String: [[UInt8]: [UInt8]]] = [:]

    private static let localTables: Set<String> = ["uses"]
    private static let localRows: Set<String> = ["time", "log-position", "replaced"]

    public init(_ store: CredentialStore) throws {
        try self.init(store.schema, store.environment)
    }

    /// Reads a store that nobody has open.
    public init(directory: String, peppers: PepperFile) throws {
        let environment = try Environment(
            directory: directory, options: Environment.Options(mapBytes: 0, databasesMax: Schema.tableCount))
        defer { try? environment.close() }
        try self.init(Schema(following: environment, lookup: peppers.lookup), environment)
    }

    private init(_ schema: Schema, _ environment: Environment) throws {
        for (name, database) in schema.all where !Self.localTables.contains(name) {
            var rows: [[UInt8]: [UInt8]] = [:]
            try environment.read { transaction in
                if database.keys == .integer {
                    try transaction.scan(database, from: 0) { (key: UInt64, value: RawSpan) in
                        var bytes: [UInt8] = []
                        bytes.append(word64: key)
                        rows[bytes] = value.copied()
                        return .next
                    }
                } else {
                    try transaction.scan(database, from: nil) { (key: RawSpan, value: RawSpan) in
                        rows[key.copied()] = value.copied()
                        return .next
                    }
                }
            }
            if name == "meta" { for local in Self.localRows { rows[Array(local.utf8)] = nil } }
            tables[name] = rows
        }
    }

    /// The rows that only one of two stores has, or that differ: table and key.
    public func differences(from other: StoreContents) -> [String] {
        Set(tables.keys).union(other.tables.keys).sorted().flatMap { table in
            let (own, others) = (tables[table] ?? [:], other.tables[table] ?? [:])
            return Set(own.keys).union(others.keys).filter { own[$0] != others[$0] }.map { key in
                let side = own[key] == nil ? "is missing" : others[key] == nil ? "is additional" : "differs"
                return "\(table) \(String(decoding: key, as: UTF8.self).debugDescription) \(side)"
            }.sorted()
        }
    }
}

/// The log of a fixture's store, and a copy of the store from its beginning, to which the log can be replayed.
///
/// When the last fixture of a store is gone, its whole log is replayed to the copy, and the two must be equal. So
/// whatever a test does to a store shows that no change is missing in the log.
public final class LoggedStore: Sendable {
    private let own: TemporaryFolder
    /// Of the store itself, which must exist for as long as this.
    private let folder: TemporaryFolder
    private let epoch: UInt64
    /// Folders of stores with changes that are not in their log.
    static let tampered = Mutex<Set<String>>([])

    public var log: String { own("log") }
    public var copy: String { own("copy") }

    /// Most bytes of a store that is compared: larger ones would double the time of their tests.
    private static let bytesMax = 8 << 20

    static func options(_ options: StoreOptions, log: TemporaryFolder) -> StoreOptions {
        var options = options
        if options.logDirectory == nil { options.logDirectory = log("log") }
        return options
    }

    init(_ store: CredentialStore, folder: TemporaryFolder, log: TemporaryFolder) throws {
        own = log
        self.folder = folder
        epoch = try Self.position(store.environment, store.schema)?.epoch ?? 0
        try takeCopy(of: store)
    }

    deinit {
        let store = folder("store")
        guard !Self.tampered.withLock({ $0.contains(store) }),
            let peppers = try? PepperFileOnDisk.read(folder("peppers"))
        else { return }
        let size = try? FileManager.default.attributesOfItem(atPath: store + "/data.mdb")[.size] as? Int
        guard size ?? .max < Self.bytesMax else { return }
        do {
            guard try Self.epoch(of: store, peppers) == epoch else {
                fatalError("a test's store has left its log, and the test does not say so (noteTampering)")
            }
            try replay(peppers: peppers)
            let differences = try StoreContents(directory: store, peppers: peppers).differences(
                from: StoreContents(directory: copy, peppers: peppers))
            // The stack names the test.
            guard differences.isEmpty else { fatalError("the log of a test's store lacks: \(differences.prefix(20))") }
        } catch {
            fatalError("the log of a test's store cannot be replayed: \(error)")
        }
    }

    private static func epoch(of directory: String, _ peppers: PepperFile) throws -> UInt64? {
        let environment = try Environment(
            directory: directory, options: Environment.Options(mapBytes: 0, databasesMax: Schema.tableCount))
        defer { try? environment.close() }
        return try position(environment, Schema(following: environment, lookup: peppers.lookup))?.epoch
    }

    private static func position(_ environment: Environment, _ schema: Schema) throws -> LogPosition? {
        try environment.read { transaction in
            try MetaTable(schema).value(.logPosition, in: transaction).flatMap { LogPosition(row: $0) }
        }
    }

    /// Replaces the copy by one of the store as it is now.
    public func takeCopy(of store: CredentialStore) throws {
        try? FileManager.default.removeItem(atPath: copy)
        try FileManager.default.createDirectory(
            atPath: copy, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        try store.backup(toFile: copy + "/data.mdb")
    }

    /// Replays the log to the copy.
    @discardableResult
    public func replay(
        peppers: PepperFile, limit: ReplayLimit = ReplayLimit(), mapBytes: Int = 0, recorder: RowRecorder? = nil
    ) throws -> ReplayReport {
        var options = Fixture.smallOptions
        options.mapBytes = mapBytes
        options.recorder = recorder
        return try CredentialStore.replay(log: log, to: copy, peppers: peppers, limit: limit, options: options)
    }
}
