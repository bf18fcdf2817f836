public import CredentialDigest
public import CredentialModel
import LMDB

/// How a store is followed.
public struct FollowOptions: Sendable {
    /// Bytes of memory for copies of records.
    public var cacheBytes: Int
    /// Bytes of address space for the store's map, of which no memory is taken: at least as many as whoever owns the store
    /// may ever set.
    public var mapBytes: Int

    public init(cacheBytes: Int = 64 << 20, mapBytes: Int = 1 << 40) {
        self.cacheBytes = cacheBytes
        self.mapBytes = mapBytes
    }
}

/// A store that another process owns, opened for reading in this one.
///
/// Whoever owns it, `countersign serve` as a rule, revokes, issues and edits; verifiers of this process answer from a cache
/// of their own, under the same contract: when a revocation has returned over there, no verification that starts here
/// afterwards accepts the credential. How that holds is told beside ``CommitFollower``.
///
/// The process runs as the user that owns the folder, on the same machine, in the same PID namespace. It takes no lock that
/// keeps the owner out, and the owner may come and go. There is nothing to close: when the last verifier and this object are
/// gone, so is its hold on the store. Do not fork while there is one.
public final class FollowedStore: Sendable {
    public let directory: String
    public let vendor: Vendor
    /// Differs for each life of the data: a restored backup is another incarnation.
    public let incarnation: UInt64
    public let published: Published
    public let peppers: PepperRing
    /// What credentials can be imported by.
    public let foreignSchemes: ForeignSchemes
    public let clock: TrustedClock
    /// Reads of this process that met a damaged row.
    public var damage: DamageLog { schema.damage }

    let environment: Environment
    let schema: Schema
    let auditChain: AuditChain
    private let follower: CommitFollower
    // Last: given up when the environment is closed.
    private let lock: FollowerLock

    /// The most readers at once, where this process is the first to open the store: else its owner has said how many.
    private static let readersMax = 1_024

    /// Opens an existing store.
    /// - Parameter pepperPath: the owner's pepper file, or a copy that is kept equal. It is read again when the owner takes a
    ///   new pepper into use.
    /// - Throws: ``StoreFailure`` that says what does not fit and what to do about it: another user's folder, an owner in
    ///   another PID namespace, other peppers, another schema.
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
            return try naming { throw error }
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
        // Without a filter of ids, which takes a scan of the whole store: an unknown id costs a look-up there.
        guard let published = Published(cacheBytes: options.cacheBytes, idCapacity: 1) else {
            throw StoreFailure.lmdb(.system(12))
        }
        let meta = MetaTable(schema)
        let (vendor, incarnation, mark, alive) = try environment.read { transaction in
            try meta.require(file.lookup, in: transaction)
            // A key that is missing is told by its name here; later it would be something to open the store again for.
            published.note(try meta.schemesInUse(of: file.foreignSchemes, in: transaction))
            return (
                try meta.vendor(in: transaction), try meta.number(.incarnation, in: transaction) ?? 0,
                try meta.number(.time, in: transaction), try meta.knownPeppers(of: file, in: transaction)
            )
        }
        guard !alive.peppers.isEmpty else { throw StoreFailure.pepperMissing(number: 1) }
        self.directory = directory
        self.vendor = vendor
        self.incarnation = incarnation
        self.published = published
        self.environment = environment
        self.schema = schema
        auditChain = AuditChain(key: file.lookup)
        self.lock = lock
        peppers = PepperRing(alive)
        foreignSchemes = file.foreignSchemes
        clock = TrustedClock(mark: mark.map { UnixSeconds(Int64(clamping: $0)) })
        follower = try CommitFollower(
            environment: environment, schema: schema, incarnation: incarnation, published: published,
            peppers: peppers, pepperPath: pepperPath, foreignSchemes: foreignSchemes)
    }

    /// Learns what was committed since the last time, if anything was. Before each verification, and between a read of the
    /// store and the judgement of what it gave.
    ///
    /// Without a new commit: two loads of the store's map and two of this process's memory. While the owner waits for the disk
    /// with a commit, whose number stands in the map already, a lock and an empty snapshot besides.
    @inline(__always)
    public func follow(at now: UnixSeconds) throws(StoreFailure) { try follower.follow(at: now) }

    /// Makes a reader for one thread.
    public func makeReader() throws(StoreFailure) -> StoreReader {
        try StoreReader(environment: environment, schema: schema)
    }
}
