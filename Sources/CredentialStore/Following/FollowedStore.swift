public import CredentialDigest
public import CredentialModel
import LMDB

/// Options for following a store.
public struct FollowOptions: Sendable {
    /// Bytes of memory for copies of records.
    public var cacheBytes: Int
    /// Bytes of address space for the store's map, which uses no memory: at least as many as the store's owner may ever
    /// set.
    public var mapBytes: Int

    public init(cacheBytes: Int = 64 << 20, mapBytes: Int = 1 << 40) {
        self.cacheBytes = cacheBytes
        self.mapBytes = mapBytes
    }
}

/// A store that another process owns, opened for reading in this one.
///
/// The owner, usually `countersign serve`, revokes, issues and edits. Verifiers of this process use their own cache
/// under the same guarantee: once the owner has acknowledged a revocation, no verification that starts here accepts the
/// credential. See ``CommitFollower`` for the proof.
///
/// The process must run as the user that owns the folder, on the same machine, in the same PID namespace. It takes no
/// lock that excludes the owner, which may stop and start. Nothing needs closing: the store is released with the last
/// verifier and this object. Do not fork while there is one.
public final class FollowedStore: Sendable {
    public let directory: String
    public let vendor: Vendor
    /// Changes when the data is restored from a backup.
    public let incarnation: UInt64
    /// The fleet that the store belongs to. What other nodes revoke is in it late or, when the daemon has ended, never, so
    /// nothing may be verified by it.
    public let fleet: String?
    public let published: Published
    public let peppers: PepperRing
    /// The schemes by which credentials can be imported.
    public let foreignSchemes: ForeignSchemes
    public let clock: TrustedClock
    /// Reads of this process that found a damaged row.
    public var damage: DamageLog { schema.damage }

    let environment: Environment
    let schema: Schema
    let auditChain: AuditChain
    private let follower: CommitFollower
    // Last: must be released after the environment is closed.
    private let lock: FollowerLock

    /// Most simultaneous readers, if this process is the first to open the store; otherwise its owner has set the
    /// number.
    private static let readersMax = 1_024

    /// Opens an existing store.
    /// - Parameter pepperPath: the owner's pepper file, or a copy that is kept identical. It is read again when the
    ///   owner starts to use a new pepper.
    /// - Throws: ``StoreFailure`` that says what does not match and what to do about it: another user's folder, an
    ///   owner in another PID namespace, other peppers, another schema.
    @available(*, noasync)
    public static func open(
        in directory: String, pepperPath: String, options: FollowOptions = FollowOptions()
    ) throws(StoreFailure) -> FollowedStore {
        guard Environment.exists(in: directory) else { throw .noStore(directory: directory) }
        let lock: FollowerLock
        do {
            lock = try FollowerLock(directory: directory)
        } catch {
            throw .held(error)
        }
        let peppers = try PepperFile.read(path: pepperPath)
        let store: FollowedStore
        do {
            store = try FollowedStore(directory, peppers, pepperPath, options, lock)
        } catch {
            if case LMDBError.notFound = error { throw .noStore(directory: directory) }
            return try convertingErrors { throw error }
        }
        try store.follow(at: store.clock.now())
        return store
    }

    private init(
        _ directory: String, _ file: PepperFile, _ pepperPath: String, _ options: FollowOptions, _ lock: FollowerLock
    ) throws {
        let environment = try Environment(
            directory: directory,
            options: Environment.Options(
                mapBytes: options.mapBytes, databasesMax: Schema.tableCount, readersMax: Self.readersMax, readOnly: true
            ))
        let schema = try Schema(following: environment, lookup: file.lookup)
        // Without an id filter, which needs a scan of the whole store: an unknown id costs a look-up there.
        guard let published = Published(cacheBytes: options.cacheBytes, idCapacity: 1) else {
            throw StoreFailure.lmdb(.system(12))
        }
        let meta = MetaTable(schema)
        let (vendor, incarnation, mark, alive, fleet) = try environment.read { transaction in
            try meta.require(file.lookup, in: transaction)
            try meta.requireKnownLevel(in: transaction)
            // A missing key is reported by name here; later it would be a reason to open the store again.
            published.note(try meta.schemesInUse(of: file.foreignSchemes, in: transaction))
            return (
                try meta.vendor(in: transaction), try meta.number(.incarnation, in: transaction) ?? 0,
                try meta.number(.time, in: transaction), try meta.knownPeppers(of: file, in: transaction),
                try meta.value(.fleet, in: transaction).map { String(decoding: $0, as: UTF8.self) }
            )
        }
        guard !alive.peppers.isEmpty else { throw StoreFailure.pepperMissing(number: 1) }
        self.directory = directory
        self.vendor = vendor
        self.incarnation = incarnation
        self.fleet = fleet
        self.published = published
        self.environment = environment
        self.schema = schema
        auditChain = AuditChain(key: file.lookup)
        self.lock = lock
        peppers = PepperRing(alive)
        foreignSchemes = file.foreignSchemes
        clock = TrustedClock(mark: mark.map { UnixSeconds(Int64(clamping: $0)) })
        follower = try CommitFollower(
            environment: environment, schema: schema, incarnation: incarnation, isOfFleet: fleet != nil,
            published: published,
            peppers: peppers, pepperPath: pepperPath, foreignSchemes: foreignSchemes)
    }

    /// Learns what was committed since the last call, if anything was. Must be called before each verification, and
    /// between a read of the store and the judgement of its result.
    ///
    /// Without a new commit it costs two loads from the store's map and two from this process's memory. While the
    /// owner's commit waits for the disk, its number is already in the map; then a lock and an empty snapshot in
    /// addition.
    @inline(__always)
    public func follow(at now: UnixSeconds) throws(StoreFailure) { try follower.follow(at: now) }

    /// Makes a reader for one thread.
    public func makeReader() throws(StoreFailure) -> StoreReader {
        try StoreReader(environment: environment, schema: schema)
    }
}
