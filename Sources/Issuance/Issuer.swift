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
public final class Issuer: Sendable {
    public let store: CredentialStore
    public let policy: LifetimePolicy
    public let grantPolicy: GrantPolicy
    /// The path at which peppers are added and removed; nil when this process must not write the file.
    let pepperPath: String?
    /// On whose behalf everything is done.
    public let authority: Authority
    var actor: AuditActor { authority.actor }
    /// The request being answered, if it may be repeated: it creates something only once.
    let repeatable: RepeatableRequest?

    public init(
        store: CredentialStore, policy: LifetimePolicy = LifetimePolicy(), grantPolicy: GrantPolicy = GrantPolicy(),
        pepperPath: String? = nil, authority: Authority = .unlimited(.program), repeatable: RepeatableRequest? = nil
    ) {
        self.store = store
        self.policy = policy
        self.grantPolicy = grantPolicy
        self.pepperPath = pepperPath
        self.authority = authority
        self.repeatable = repeatable
    }

    /// The same issuer on behalf of another caller.
    public func acting(as authority: Authority) -> Issuer {
        Issuer(
            store: store, policy: policy, grantPolicy: grantPolicy, pepperPath: pepperPath, authority: authority,
            repeatable: repeatable)
    }

    /// The same issuer for a request that may be repeated.
    public func answering(_ repeatable: RepeatableRequest?) -> Issuer {
        Issuer(
            store: store, policy: policy, grantPolicy: grantPolicy, pepperPath: pepperPath, authority: authority,
            repeatable: repeatable)
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

    /// How long a read takes. The two have threads of their own (the global queues of libdispatch each have theirs): a
    /// revocation looks its credential up first, and must not wait for searches, copies and audits.
    enum ReadLength {
        case lookUp, long

        fileprivate var queue: DispatchQueue { .global(qos: self == .lookUp ? .userInitiated : .utility) }
    }

    /// Runs a read on a separate thread, so that it delays nobody.
    func offThread<Value: Sendable>(
        _ length: ReadLength = .long,
        _ body: @escaping @Sendable (CredentialStore) throws -> Value
    ) async throws(IssuanceError) -> Value {
        let store = store
        do {
            return try await withCheckedThrowingContinuation { continuation in
                length.queue.async {
                    continuation.resume(with: Result { try body(store) })
                }
            }
        } catch {
            throw IssuanceError(error)
        }
    }

    func summary(_ credential: StoredCredential, lastUsedAt: UnixSeconds? = nil) -> CredentialSummary {
        CredentialSummary(
            credential, published: store.published, now: store.clock.now(), policy: policy, lastUsedAt: lastUsedAt)
    }
}

/// A credential that is generated but not yet stored: its row, and its text for the caller.
struct Newborn: Sendable {
    var credential: StoredCredential
    let secret: SecretText

    /// Generates a secret, and an id unless given, and tags them under the newest pepper. Slow, so off the writer thread.
    static func mint(
        _ id: CredentialID = .random(), kind: CredentialKind, store: CredentialStore, owner: [UInt8], name: String?
    ) -> Newborn? {
        let secret = CredentialFormat.mint(kind: kind, id: id, vendor: store.vendor)
        guard let native = NativeCredential(secret.revealBytes().octets, vendor: store.vendor) else { return nil }
        let place = store.peppers.newest
        let tag = store.peppers.tag(of: native.block, at: place)
        let record = CredentialRecord(id: id, kind: kind, tag: tag, pepper: place.number)
        return Newborn(credential: StoredCredential(record: record, owner: owner, name: name), secret: secret)
    }
}

extension Newborn {
    /// For an access token: the same with the next id in the order of its table; other kinds are returned unchanged. Must
    /// run on the writer thread, in the inserting transaction, because only there the order is known.
    func numbered(
        by writer: StoreWriter, store: CredentialStore, in transaction: borrowing WriteTransaction
    ) throws -> Newborn {
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
        return Newborn(credential: credential, secret: secret)
    }
}

/// The id is taken, or the pepper is no longer the newest: generate again. Nothing was written.
struct DrawAgain: Error {}

extension StoreWriter {
    /// Inserts a new credential.
    func insertNewborn(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws {
        guard try insert(credential, in: transaction) else { throw DrawAgain() }
    }
}
