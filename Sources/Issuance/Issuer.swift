public import CredentialStore
import Dispatch
import LMDB

/// Issues, changes and ends credentials.
///
/// Each operation is one mutation of the store. When it returns, the change is durable and visible to every verifier of this
/// process (publication). The parent of a new credential is read again inside the mutation, so that nothing is issued from a
/// parent that was revoked in the meantime.
public struct Issuer: Sendable {
    public let store: CredentialStore
    public let policy: LifetimePolicy
    public let grantPolicy: GrantPolicy
    /// The path at which peppers are added and removed; nil when this process must not write the file.
    let pepperPath: String?
    /// The caller on whose behalf the issuer acts.
    public private(set) var authority: Authority
    var actor: AuditActor { authority.actor }
    /// Identifies the current request if its caller may repeat it; the repetition then creates nothing.
    private(set) var repeatable: RepeatableRequest?
    /// How far the changes of the current request must get, and how far they got; nil: as each change wants it, and one
    /// that does not get so far throws.
    private var reach: RequestReach?

    public init(
        store: CredentialStore, policy: LifetimePolicy = LifetimePolicy(), grantPolicy: GrantPolicy = GrantPolicy(),
        pepperPath: String? = nil, authority: Authority = .unlimited(.program)
    ) {
        self.store = store
        self.policy = policy
        self.grantPolicy = grantPolicy
        self.pepperPath = pepperPath
        self.authority = authority
    }

    /// An issuer for the same store and policies that acts on behalf of another caller.
    public func acting(as authority: Authority) -> Issuer {
        var issuer = self
        issuer.authority = authority
        return issuer
    }

    /// An issuer for one request with an Idempotency-Key; nil for a request without one.
    public func answering(_ repeatable: RepeatableRequest?) -> Issuer {
        var issuer = self
        issuer.repeatable = repeatable
        return issuer
    }

    /// See ``CredentialStore/becomeCurrent()``.
    public func becomeCurrent() async throws(IssuanceError) {
        do {
            try await store.becomeCurrent()
        } catch {
            throw IssuanceError(error)
        }
    }

    /// An issuer for one request that says afterwards how far its changes got.
    public func reaching(_ reach: RequestReach) -> Issuer {
        var issuer = self
        issuer.reach = reach
        return issuer
    }

    /// Runs a mutation and converts its errors.
    func mutate<Value: Sendable>(
        creates: Bool,
        _ body: @escaping @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Value
    ) async throws(IssuanceError) -> Value {
        do {
            return try await write(creates: creates, body)
        } catch {
            throw IssuanceError(error)
        }
    }

    /// Runs a mutation, provided that the caller is still authorised when the writer reaches it.
    /// - Throws: what `body` throws; ``IssuanceError/forbidden(reason:field:)`` for a caller that was revoked in the
    ///   meantime; ``RepeatedRequest`` for a request that was executed before.
    func write<Value: Sendable>(
        creates: Bool, _ body: @escaping @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Value
    ) async throws -> Value {
        let (authority, repeatable) = (authority, repeatable)
        return try await commit(creates: creates) { writer, transaction in
            try authority.requireStanding(writer, in: transaction)
            if let repeatable { try writer.requireNew(repeatable, in: transaction) }
            return try body(writer, transaction)
        }
    }

    /// The same without asking again whether the caller is authorised.
    func commit<Value: Sendable>(
        creates: Bool, _ body: @escaping @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Value
    ) async throws -> Value {
        guard let reach else { return try await store.write(creates: creates, body) }
        let written = try await store.writeSoFar(creates: creates, reach: reach.wanted, body)
        reach.note(creates: creates)
        if let failure = written.unconfirmed { reach.note(failure) }
        return written.value
    }

    /// Waits until what an earlier request has done is known as widely as this one wants it: an answer to a repeated
    /// request says no less than that to the first.
    public func confirmEarlier() async throws(IssuanceError) {
        guard store.fleet != nil else { return }
        do {
            try await commit(creates: false) { _, _ in }
        } catch {
            throw IssuanceError(error)
        }
    }

    /// Runs a blocking read on a separate thread.
    func offThread<Value: Sendable>(
        _ threads: WorkThreads = .long,
        _ body: @escaping @Sendable (CredentialStore) throws -> Value
    ) async throws(IssuanceError) -> Value {
        let store = store
        do {
            return try await threads.run { try body(store) }
        } catch {
            throw IssuanceError(error)
        }
    }
}

/// Threads for blocking work, which must not run on the cooperative threads: there are only as many of those as processors,
/// and all of administration runs on them.
///
/// There are two queues of different quality of service, for which libdispatch uses separate threads. A revocation looks up
/// the credentials that it revokes and must not wait for searches, backups, checks and bulk creations.
public struct WorkThreads: Sendable {
    /// A few rows by their keys, or one page of the rows that a revocation examines.
    public static let lookUp = WorkThreads("countersign.look-ups", .userInitiated)
    /// Searches, backups, checks, and generating or hashing many credentials.
    public static let long = WorkThreads("countersign.long-work", .utility)

    /// Internal, so that a test can suspend it.
    let queue: DispatchQueue

    private init(_ label: String, _ qualityOfService: DispatchQoS) {
        queue = DispatchQueue(label: label, qos: qualityOfService, attributes: .concurrent)
    }

    public func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try body() }) }
        }
    }

    /// The number of credentials that one block of work generates or hashes. It takes a few milliseconds; then other work
    /// can run.
    static let credentialsPerPiece = 100

    /// Asserts in debug builds that the calling code runs on one of these threads and not on a cooperative one.
    static func assertNoTask() {
        // SAFETY: the task is only compared with nil and does not leave the closure.
        let isInTask = unsafe withUnsafeCurrentTask { unsafe $0 != nil }
        assert(!isInTask, "many credentials are generated or hashed on a cooperative thread: use offThread")
    }
}
