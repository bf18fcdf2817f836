public import CredentialDigest
public import CredentialModel
public import LMDB
import RecordCache
import Synchronization

/// The one owner of a store's folder: its tables, its writer thread and what its readers share.
///
/// Mutations go through ``write(creates:_:)``. When it returns, the commit is durable and every reader of this process
/// knows. Readers are made with ``makeReader()``, one per thread.
public final class CredentialStore: Sendable {
    public let directory: String
    public let vendor: Vendor
    /// Differs for each life of the data: a restored backup is another incarnation.
    public let incarnation: UInt64
    /// The first incarnation of the data: what it shares with its backups and with nothing else.
    public let origin: UInt64
    public let published: Published
    public let peppers: PepperRing
    /// Keys the aliases of imported credentials.
    public let lookup: TagKey
    /// What credentials can be imported by.
    public let foreignSchemes: ForeignSchemes
    public let clock: TrustedClock
    /// Reads of this process that met a damaged row.
    public var damage: DamageLog { schema.damage }
    /// When credentials were last accepted.
    public let uses = UseLog()

    let environment: Environment
    let schema: Schema
    let interning: Interning
    let auditChain: AuditChain
    let headRoom = HeadRoom()
    private let lock: DirectoryLock
    private let commit: GroupCommit
    private let thread: BatchThread<Mutation>
    private let closed = Atomic<Bool>(false)
    /// Up to here the sweep need not look for tokens that are in no index: what is left there is in one, or damaged.
    let sweptTokens = Atomic<UInt64>(0)
    let forecast = FillForecast()

    /// Mutations that may wait for the writer thread.
    private static let queueCapacity = 65_536
    /// Mutations in one commit.
    private static let batchMax = 4_096

    init(opened: OpenedStore, options: StoreOptions) throws(StoreFailure) {
        directory = opened.directory
        vendor = opened.vendor
        incarnation = opened.incarnation
        origin = opened.origin
        published = opened.published
        peppers = opened.peppers
        lookup = opened.lookup
        foreignSchemes = opened.foreignSchemes
        clock = opened.clock
        environment = opened.environment
        schema = opened.schema
        interning = opened.interning
        auditChain = AuditChain(key: opened.lookup)
        lock = opened.lock
        let headRoom = headRoom
        let commit = GroupCommit(
            environment: environment, schema: schema, published: published, peppers: peppers, interning: interning,
            clock: clock, auditChain: auditChain, headRoom: headRoom, onFatal: options.onFatal)
        self.commit = commit
        thread = try naming {
            try BatchThread(name: "store-writer", capacity: Self.queueCapacity, batchMax: Self.batchMax) { batch in
                commit.run(batch)
            }
        }
    }

    /// Whether a commit failed with unknown outcome: the process must end.
    public var hasFailed: Bool { commit.hasFailed }

    /// Ends all writing when the path no longer leads to the open files, and tells the process as for any other end. Call it
    /// once a second; each commit looks as well.
    public func requireInPlace() {
        if !isClosed, !environment.isInPlace { commit.fail(.displaced(directory: directory)) }
    }

    /// Mutations that wait for the writer thread now.
    public var waitingMutations: Int { thread.waiting }

    /// What the writer thread has done.
    public var commits: CommitCounters { commit.commits }

    /// Runs a mutation on the writer thread and returns when it is durable and every reader knows.
    ///
    /// Many mutations share one commit. The body may run more than once, since a transaction may have to be run again; it
    /// must check before its first write and read whatever it relies on inside.
    /// - Parameters:
    ///   - creates: whether the mutation adds rows; those are refused when the map or the disk runs full.
    ///   - inBackground: whether nobody waits for it. Whatever somebody waits for overtakes it, so a long work goes in pieces
    ///     (``StoreWriter/beginPiece()``), each in a mutation of its own.
    /// - Throws: what the body throws, or ``StoreFailure``.
    public func write<Value: Sendable>(
        creates: Bool, inBackground: Bool = false,
        _ body: @escaping @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            submit(creates: creates, inBackground: inBackground, body) { continuation.resume(with: $0) }
        }
    }

    /// The same for callers without `async`: `completion` runs on the writer thread, after the acknowledgement's conditions hold.
    public func submit<Value: Sendable>(
        creates: Bool, inBackground: Bool = false,
        _ body: @escaping @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Value,
        completion: @escaping @Sendable (Result<Value, any Error>) -> Void
    ) {
        let result = ResultBox<Value>()
        let mutation = Mutation(creates: creates, since: inBackground ? nil : .now) { writer, transaction in
            let value = try body(writer, transaction)
            result.set(value)
        } finish: { error in
            if let error {
                completion(.failure(error))
            } else if let value = result.take() {
                completion(.success(value))
            } else {
                completion(.failure(StoreFailure.closed))
            }
        }
        let isTaken = inBackground ? thread.submitInBackground(mutation) : thread.submit(mutation)
        if !isTaken { completion(.failure(hasFailed || isClosed ? StoreFailure.closed : .busy)) }
    }

    /// Offers a mutation that may be dropped: nobody waits, and a busy queue does not take it.
    public func offer(_ body: @escaping @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Void) {
        _ = thread.submitIfIdle(Mutation(creates: true, since: nil, apply: body, finish: { _ in }))
    }

    private var isClosed: Bool { closed.load(ordering: .acquiring) }

    /// Makes a reader for one thread.
    public func makeReader() throws(StoreFailure) -> StoreReader {
        try StoreReader(environment: environment, schema: schema)
    }

    /// Waits until everything accepted is durable, then lets the folder go.
    @available(*, noasync)
    public func close() {
        closed.store(true, ordering: .releasing)
        thread.close()
        // From here on another process may revoke what this one's readers hold copies of.
        published.cache.close()
        published.liveIDs.close()
        // Fails only while a transaction of another thread runs; the process's end closes it then.
        try? environment.close()
        lock.release()
    }
}

/// Carries a mutation's value from the transaction to its acknowledgement. A run that is repeated replaces it.
private final class ResultBox<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)

    func set(_ new: Value) {
        value.withLock { $0 = new }
    }

    func take() -> Value? {
        value.withLock { $0 }
    }
}
