import CredentialDigest
import CredentialModel
public import CredentialStore
import Dispatch
import LMDB

/// Brings credentials into being, changes and ends them.
///
/// Each operation is one mutation of the store. When it returns, it is durable, and every verifier of this process knows
/// (the publication contract). What a new credential derives from is read again inside the mutation: a parent that was
/// revoked while the request waited has no child.
public final class Issuer: Sendable {
    public let store: CredentialStore
    public let policy: LifetimePolicy
    public let grantPolicy: GrantPolicy
    /// Where peppers are added and taken away; nil when the file is not this process's to write.
    let pepperPath: String?
    /// In whose name everything is done.
    public let authority: Authority
    var actor: AuditActor { authority.actor }
    /// What is being answered, if it may come twice: it makes something only once.
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

    /// The same issuer in the name of somebody else.
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

    /// Runs a mutation and names its failures.
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

    /// Runs a mutation, if whoever asks for it still may when its turn comes.
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

    /// Runs a long read on a thread of its own, so that it holds up nobody.
    func offThread<Value: Sendable>(
        _ body: @escaping @Sendable (CredentialStore) throws -> Value
    ) async throws(IssuanceError) -> Value {
        let store = store
        do {
            return try await withCheckedThrowingContinuation { continuation in
                DispatchQueue.global(qos: .utility).async {
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

/// A credential that is made but not yet in the store: its row, and the text for the one who asked.
struct Newborn: Sendable {
    var credential: StoredCredential
    let secret: SecretText

    /// Draws a secret, and an id where none is given, and tags them with the newest pepper. Off the writer thread: drawing takes longest.
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
    /// An access token under the id that is next in the order of its table; all others as they are. On the writer thread,
    /// in the transaction that inserts it: only there is an order.
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

/// The id is taken, or the pepper is no longer the newest: draw again. Nothing was written.
struct DrawAgain: Error {}

extension StoreWriter {
    /// Adds a newborn credential.
    func insertNewborn(_ credential: StoredCredential, in transaction: borrowing WriteTransaction) throws {
        guard try insert(credential, in: transaction) else { throw DrawAgain() }
    }
}
