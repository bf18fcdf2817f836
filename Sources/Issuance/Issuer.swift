import CredentialDigest
import CredentialModel
public import CredentialStore
import Dispatch
import LMDB

/// Issues, changes and ends credentials.
///
/// Each operation is one mutation of the store. When it returns, it is durable and visible to every verifier of this process
/// (publication). What a new credential derives from is read again inside the mutation: nothing is issued from a parent that
/// was revoked meanwhile.
public struct Issuer: Sendable {
    public let store: CredentialStore
    public let policy: LifetimePolicy
    public let grantPolicy: GrantPolicy
    /// The path at which peppers are added and removed; nil when this process must not write the file.
    let pepperPath: String?
    /// On whose behalf everything is done.
    public private(set) var authority: Authority
    var actor: AuditActor { authority.actor }
    /// The request being answered, if it may be repeated: it creates something only once.
    private(set) var repeatable: RepeatableRequest?

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

    /// The same issuer on behalf of another caller.
    public func acting(as authority: Authority) -> Issuer {
        var issuer = self
        issuer.authority = authority
        return issuer
    }

    /// The same issuer for a request that may be repeated.
    public func answering(_ repeatable: RepeatableRequest?) -> Issuer {
        var issuer = self
        issuer.repeatable = repeatable
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

    /// Runs a mutation, if the caller is still authorised when its turn comes.
    func write<Value: Sendable>(
        creates: Bool, _ body: @escaping @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Value
    ) async throws -> Value {
        let (authority, repeatable) = (authority, repeatable)
        return try await store.write(creates: creates) { writer, transaction in
            try authority.requireStanding(writer, in: transaction)
            if let repeatable { try writer.requireNew(repeatable, in: transaction) }
            return try body(writer, transaction)
        }
    }

    /// Runs a read on a separate thread, so that it delays nobody.
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

/// Threads for work that would hold one of the cooperative threads, of which there are as many as processors and on
/// which all of administration runs.
///
/// There are two sets, and each has threads of its own, as libdispatch gives them to each quality of service: a
/// revocation looks up what it ends, and must not wait for searches, copies, checks and bulk creations.
public struct WorkThreads: Sendable {
    /// A few rows by their keys, or one page of what a revocation ends.
    public static let lookUp = WorkThreads("countersign.look-ups", .userInitiated)
    /// Searches, copies, checks, and the generating or hashing of many credentials.
    public static let long = WorkThreads("countersign.long-work", .utility)

    /// Internal for a test, which stops it.
    let queue: DispatchQueue

    private init(_ label: String, _ qualityOfService: DispatchQoS) {
        queue = DispatchQueue(label: label, qos: qualityOfService, attributes: .concurrent)
    }

    public func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try body() }) }
        }
    }

    /// How many credentials one piece of work generates or hashes: a few milliseconds, after which others have their
    /// turn.
    static let credentialsPerPiece = 100

    /// For work that must run on such a thread, and not on a cooperative one.
    static func assertNoTask() {
        // SAFETY: the task is only asked for whether there is one.
        let isInTask = unsafe withUnsafeCurrentTask { unsafe $0 != nil }
        assert(!isInTask, "many credentials are generated and hashed on a thread of their own")
    }
}

/// A credential that is generated but not yet stored: its row, and its text for the caller.
struct PendingCredential: Sendable {
    var credential: StoredCredential
    let secret: SecretText

    /// Generates a secret, and an id unless given, and tags them under the newest pepper. Slow, so off the writer thread.
    static func mint(
        _ id: CredentialID = .random(), kind: CredentialKind, owner: [UInt8], store: CredentialStore
    ) -> PendingCredential? {
        let secret = CredentialFormat.mint(kind: kind, id: id, vendor: store.vendor)
        guard let native = NativeCredential(secret.revealBytes().octets, vendor: store.vendor) else { return nil }
        let place = store.peppers.newest
        let tag = store.peppers.tag(of: native.block, at: place)
        let record = CredentialRecord(id: id, kind: kind, tag: tag, pepper: place.number)
        return PendingCredential(credential: StoredCredential(record: record, owner: owner, name: nil), secret: secret)
    }
}

extension Issuer {
    /// Generates a credential for each id, in pieces on threads for long work: whoever creates keys without pause would
    /// keep revocations from the cooperative threads. A few are generated at once, since a change of threads would take
    /// longer.
    func mint(
        _ ids: [CredentialID], kind: CredentialKind, owner: [UInt8]
    ) async throws(IssuanceError) -> [PendingCredential] {
        guard ids.count > 10 else {
            return ids.compactMap { PendingCredential.mint($0, kind: kind, owner: owner, store: store) }
        }
        var minted: [PendingCredential] = []
        for start in stride(from: 0, to: ids.count, by: WorkThreads.credentialsPerPiece) {
            let piece = ids[start..<min(start + WorkThreads.credentialsPerPiece, ids.count)]
            minted += try await offThread { store in
                WorkThreads.assertNoTask()
                return piece.compactMap { PendingCredential.mint($0, kind: kind, owner: owner, store: store) }
            }
        }
        return minted
    }
}

extension PendingCredential {
    /// For an access token: the same with the next id in the order of its table; other kinds are returned unchanged. Must
    /// run on the writer thread, in the inserting transaction, because only there the order is known.
    func numbered(
        by writer: StoreWriter, store: CredentialStore, in transaction: borrowing WriteTransaction
    ) throws -> PendingCredential {
        guard credential.record.kind == .accessToken else { return self }
        let id = try writer.nextTokenID(in: transaction)
        let secret = CredentialFormat.text(secret, under: id)
        guard let native = NativeCredential(secret.revealBytes().octets, vendor: store.vendor) else {
            throw DrawAgain()
        }
        let place = store.peppers.newest
        var credential = credential
        credential.record.id = id
        credential.record.tag = store.peppers.tag(of: native.block, at: place)
        credential.record.pepper = place.number
        return PendingCredential(credential: credential, secret: secret)
    }
}

/// The id is taken, or the pepper is no longer the newest: generate again. Nothing was written.
struct DrawAgain: Error {}

extension StoreWriter {
    /// Inserts a new credential.
    func insertPending(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws {
        guard try insert(credential, in: transaction) else { throw DrawAgain() }
    }
}
