public import CredentialDigest
public import CredentialModel
public import LMDB
import RecordCache
import Synchronization

/// The single owner of a store's folder: its tables, its writer thread and the state that its readers share.
///
/// Mutations go through ``write(creates:_:)``. When it returns, the commit is durable and visible to every reader of
/// this process. Make one reader per thread with ``makeReader()``.
public final class CredentialStore: Sendable {
    public let directory: String
    public let vendor: Vendor
    /// Changes when the data is restored from a backup.
    public let incarnation: UInt64
    /// The first incarnation of the data, which it shares only with its backups.
    public let origin: UInt64
    public let published: Published
    public let peppers: PepperRing
    /// Keys the aliases of imported credentials.
    public let lookup: TagKey
    /// The schemes by which credentials can be imported.
    public let foreignSchemes: ForeignSchemes
    public let clock: TrustedClock
    /// Reads of this process that found a damaged row.
    public var damage: DamageLog { schema.damage }
    /// When credentials were last accepted.
    public let uses = UseLog()

    /// The log that gets every change; nil for a store without one.
    public let log: LogFigures?
    /// The store had a log, and has none now: its next change ends it.
    public let leavesLog: Bool

    /// The fleet whose log the store has; nil for a store of its own.
    public let fleet: FleetOptions?

    let sharesJournal: Bool
    let environment: Environment
    let schema: Schema
    let interning: Interning
    let auditChain: AuditChain
    let headRoom = HeadRoom()
    private let lock: DirectoryLock
    private let commit: GroupCommit
    private let thread: BatchThread<WriterWork>
    private let closed = Atomic<Bool>(false)
    /// Beside the writer's, which is locked while it waits for the log.
    private let sharedLog = Mutex<(any SharedLog)?>(nil)
    /// The sweep need not look for unindexed tokens up to this id: those that remain are indexed or damaged.
    let sweptTokens = Atomic<UInt64>(0)
    let forecast = FillForecast()

    /// Most mutations that can wait for the writer thread.
    private static let queueCapacity = 65_536
    /// Most mutations in one commit.
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
        fleet = options.fleet
        sharesJournal = options.sharesJournal || options.fleet != nil
        log = opened.log?.figures
        leavesLog = opened.leavesLog
        environment = opened.environment
        schema = opened.schema
        interning = opened.interning
        auditChain = AuditChain(key: opened.lookup)
        lock = opened.lock
        let headRoom = headRoom
        let commit = GroupCommit(
            environment: environment, schema: schema, published: published, peppers: peppers, interning: interning,
            clock: clock, auditChain: auditChain, headRoom: headRoom, log: opened.log,
            entryBytes: options.log.entryBytes, onFatal: options.onFatal)
        self.commit = commit
        thread = try convertingErrors {
            try BatchThread(name: "store-writer", capacity: Self.queueCapacity, batchMax: Self.batchMax) {
                (batch, takeWaiting) in
                commit.run(batch.compactMap(\.mutation)) { takeWaiting().compactMap(\.mutation) }
            }
        }
        // Nothing is written before it joins.
        if fleet != nil { commit.awaitLog() }
    }

    /// Makes this the store of a node of its fleet. Before, every write fails.
    ///
    /// - Parameters:
    ///   - log: the fleet's log, at the store's ``logPosition``.
    /// - Returns: makes the writer look for entries that have arrived (``SharedLog/arrived()``); may be called by any
    ///   thread.
    public func join(_ log: any SharedLog, at position: LogPosition) -> @Sendable () -> Void {
        let keys = KeysInUse(
            meta: MetaTable(schema), published: published, peppers: peppers, pepperPath: fleet?.pepperPath ?? "",
            foreignSchemes: foreignSchemes)
        sharedLog.withLock { $0 = log }
        commit.join(SharedCommit(log: log, position: position, origin: origin, lookup: lookup, keys: keys))
        // A full queue looks for entries anyway.
        return { [thread] in _ = thread.submit(.look) }
    }

    /// How much of its log the store has; nil for a store without one.
    public func logPosition() throws(StoreFailure) -> LogPosition? {
        try reading { transaction in
            try MetaTable(schema).value(.logPosition, in: transaction).flatMap { LogPosition(row: $0) }
        }
    }

    /// Whether a commit failed with unknown outcome: the process must exit.
    public var hasFailed: Bool { commit.hasFailed }

    /// Stops all writing and reports a fatal failure when the path no longer leads to the open files. Call it once a
    /// second; each commit checks it too.
    public func requireInPlace() {
        if !isClosed, !environment.isInPlace { commit.fail(.displaced(directory: directory)) }
    }

    /// Mutations now waiting for the writer thread.
    public var waitingMutations: Int { thread.waiting }

    /// Most rows that one transaction should revoke, so that it finds enough free pages; nil while the map has room.
    public var revocationsPerTransactionMax: Int? { headRoom.room.mutationsMax }

    /// Counters of the writer thread.
    public var commits: CommitCounters { commit.commits }

    /// Runs a mutation on the writer thread and returns when it is durable and visible to every reader.
    ///
    /// Many mutations share one commit. The body may run more than once, because a transaction may have to be repeated.
    /// It must do its checks before its first write, and must read inside the transaction whatever it relies on.
    /// - Parameters:
    ///   - creates: whether the mutation adds rows; those are refused when the map or the disk is nearly full.
    ///   - reach: how far it must have got in a fleet, if not as ``Reach`` says; a store of its own is everywhere.
    ///   - inBackground: whether no caller waits for it. Foreground mutations overtake it, so long work must be split
    ///     into pieces (``StoreWriter/beginPiece()``), each in its own mutation.
    /// - Throws: what the body throws, or ``StoreFailure``. ``SharedLogFailure/unconfirmed(nodes:)`` when it is done but
    ///   has not got as far as `reach`.
    public func write<Value: Sendable>(
        creates: Bool, reach: Reach? = nil, inBackground: Bool = false,
        _ body: @escaping @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Value
    ) async throws -> Value {
        let written = try await writeSoFar(creates: creates, reach: reach, inBackground: inBackground, body)
        if let failure = written.unconfirmed { throw StoreFailure.shared(failure) }
        return written.value
    }

    /// The same for a caller who goes on if it is done but has not got as far as `reach`.
    public func writeSoFar<Value: Sendable>(
        creates: Bool, reach: Reach? = nil, inBackground: Bool = false,
        _ body: @escaping @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Value
    ) async throws -> Written<Value> {
        try await withCheckedThrowingContinuation { continuation in
            submitSoFar(creates: creates, reach: reach, inBackground: inBackground, body) {
                continuation.resume(with: $0)
            }
        }
    }

    /// Makes sure that what was acknowledged by any node of the fleet before this call is in the store. Nothing for a store
    /// of its own.
    /// - Throws: ``StoreFailure/shared(_:)`` while that cannot be known.
    public func becomeCurrent() async throws {
        guard let fleet else { return }
        if fleet.freshness.isOver() { throw fleet.freshness.refuse() }
        // A change that changes nothing is proven as every other (see `SharedLog`).
        try await write(creates: false, reach: .node) { _, _ in }
    }

    /// Makes sure that readers have what was acknowledged by any node of the fleet before this call, without the writer.
    /// - Parameter completion: called on any thread; false if that could not be found out in time.
    public func catchUp(_ completion: @escaping @Sendable (_ isCurrent: Bool) -> Void) {
        guard fleet != nil else { return completion(true) }
        guard let log = sharedLog.withLock({ $0 }) else { return completion(false) }
        log.catchUp(completion)
    }

    /// ``write(creates:reach:_:)`` without `async`: `completion` runs on the writer thread, once the change is durable and visible.
    public func submit<Value: Sendable>(
        creates: Bool, reach: Reach? = nil, inBackground: Bool = false,
        _ body: @escaping @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Value,
        completion: @escaping @Sendable (Result<Value, any Error>) -> Void
    ) {
        submitSoFar(creates: creates, reach: reach, inBackground: inBackground, body) { result in
            completion(
                result.flatMap { written in
                    written.unconfirmed.map { .failure(StoreFailure.shared($0)) } ?? .success(written.value)
                })
        }
    }

    private func submitSoFar<Value: Sendable>(
        creates: Bool, reach: Reach?, inBackground: Bool,
        _ body: @escaping @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Value,
        completion: @escaping @Sendable (Result<Written<Value>, any Error>) -> Void
    ) {
        let result = ResultBox<Value>()
        let mutation = Mutation(creates: creates, reach: reach, since: inBackground ? nil : .now) {
            writer, transaction in
            let value = try body(writer, transaction)
            result.set(value)
        } finish: { error in
            if case StoreFailure.shared(let failure)? = error, failure.isAboutReach, let value = result.take() {
                completion(.success(Written(value: value, unconfirmed: failure)))
            } else if let error {
                completion(.failure(error))
            } else if let value = result.take() {
                completion(.success(Written(value: value)))
            } else {
                completion(.failure(StoreFailure.closed))
            }
        }
        let isTaken = inBackground ? thread.submitInBackground(.mutation(mutation)) : thread.submit(.mutation(mutation))
        if !isTaken { completion(.failure(hasFailed || isClosed ? StoreFailure.closed : .busy)) }
    }

    /// Offers a mutation that may be dropped: no caller waits for it, and a busy queue does not accept it.
    public func offer(_ body: @escaping @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Void) {
        // Those that are offered change rows of the log.
        guard fleet?.isReadOnly != true else { return }
        _ = thread.submitIfIdle(.mutation(Mutation(creates: true, since: nil, apply: body, finish: { _ in })))
    }

    private var isClosed: Bool { closed.load(ordering: .acquiring) }

    /// Makes a reader for one thread.
    public func makeReader() throws(StoreFailure) -> StoreReader {
        try StoreReader(environment: environment, schema: schema)
    }

    /// Waits until everything accepted is durable, then releases the folder.
    @available(*, noasync)
    public func close() {
        closed.store(true, ordering: .releasing)
        commit.prepareToClose()
        thread.close()
        // From here on another process may revoke credentials of which this one still has copies.
        published.cache.close()
        published.idFilter.close()
        // Fails only while another thread has a transaction open; then the environment is closed when the process ends.
        try? environment.close()
        commit.close()
        lock.release()
    }
}

/// What a mutation returned, and whether it got as far as was wanted.
public struct Written<Value: Sendable>: Sendable {
    public let value: Value
    /// ``SharedLogFailure/unconfirmed(nodes:)``, or nil.
    public var unconfirmed: SharedLogFailure?
}

/// What the writer thread is given.
private enum WriterWork: Sendable {
    case mutation(Mutation)
    /// Entries of other nodes may have arrived.
    case look

    var mutation: Mutation? {
        if case .mutation(let mutation) = self { mutation } else { nil }
    }
}

/// Carries a mutation's value from the transaction to its acknowledgement. Repeating the mutation replaces it.
private final class ResultBox<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)

    func set(_ new: Value) {
        value.withLock { $0 = new }
    }

    func take() -> Value? {
        value.withLock { $0 }
    }
}
