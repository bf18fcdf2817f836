import CredentialDigest
public import CredentialModel
public import CredentialStore
import Foundation
public import Issuance
public import Verification

/// A folder of its own, gone when nobody holds it any more.
public final class TemporaryFolder: Sendable {
    public let path: String

    public init() throws {
        // In memory where there is such a place: no test here pulls the plug, so that waiting for a disk proves nothing.
        let memory = "/dev/shm"
        let place = FileManager.default.isWritableFile(atPath: memory) ? memory : NSTemporaryDirectory()
        path = place + "/countersign-test-" + UUID().uuidString
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    public func callAsFunction(_ name: String) -> String { path + "/" + name }
}

/// A real store with random peppers in a temporary folder, an issuer over it and the pepper file beside it.
///
/// Keep the fixture for as long as what was made of it is used; what it opened is closed when it goes.
public final class Fixture: Sendable {
    public let folder: TemporaryFolder
    public let store: CredentialStore
    public let issuer: Issuer
    public let options: StoreOptions
    /// Its log, if it has one.
    public let logged: LoggedStore

    public var directory: String { folder("store") }
    public var pepperPath: String { folder("peppers") }

    public static let smallOptions = StoreOptions(mapBytes: 64 << 20, cacheBytes: 1 << 20, readersMax: 64)

    /// Makes a new store.
    /// - Parameter isLogged: whether it has a log.
    public convenience init(
        options: StoreOptions = smallOptions, policy: LifetimePolicy = LifetimePolicy(), vendor: Vendor = .iiniit,
        pepperLines: [String] = [], isLogged: Bool = true
    ) throws {
        let folder = try TemporaryFolder()
        var peppers = try PepperFileOnDisk.create(folder("peppers"))
        if !pepperLines.isEmpty {
            let text = peppers.serialized() + Array(pepperLines.map { $0 + "\n" }.joined().utf8)
            try FixtureFile.replace(folder("peppers"), text)
            peppers = try PepperFileOnDisk.read(folder("peppers"))
        }
        let log = try TemporaryFolder()
        let options = isLogged ? LoggedStore.options(options, log: log) : options
        let store = try CredentialStore.create(
            in: folder("store"), vendor: vendor, peppers: peppers, options: options)
        let logged = try LoggedStore(store, folder: folder, log: log)
        if !isLogged { store.noteTampering() }
        self.init(folder: folder, store: store, logged: logged, options: options, policy: policy)
    }

    /// Opens the store of a node of the fleet `two`, whose lease never ends.
    convenience init(nodeIn folder: TemporaryFolder) throws {
        var options = Self.smallOptions
        let fleet = FleetOptions(name: "two", pepperPath: folder("peppers"))
        fleet.freshness.extend(to: .max)
        options.fleet = fleet
        let store = try CredentialStore.open(
            in: folder("store"), peppers: PepperFileOnDisk.read(folder("peppers")), options: options)
        let logged = try LoggedStore(store, folder: folder, log: TemporaryFolder())
        store.noteTampering()
        self.init(folder: folder, store: store, logged: logged, options: options, policy: LifetimePolicy())
    }

    private init(
        folder: TemporaryFolder, store: CredentialStore, logged: LoggedStore, options: StoreOptions,
        policy: LifetimePolicy
    ) {
        self.folder = folder
        self.logged = logged
        self.store = store
        self.options = options
        issuer = Issuer(store: store, policy: policy, pepperPath: folder("peppers"))
    }

    deinit { store.close() }

    /// Closes the store and opens it again, as a restart would.
    public func reopened(options: StoreOptions? = nil) throws -> Fixture {
        store.close()
        var options = options ?? self.options
        options.logDirectory = self.options.logDirectory
        let peppers = try PepperFileOnDisk.read(pepperPath)
        let store = try CredentialStore.open(in: directory, peppers: peppers, options: options)
        return Fixture(folder: folder, store: store, logged: logged, options: options, policy: issuer.policy)
    }

    public func verifier() throws -> Verifier { try Verifier(store: store) }

    /// What a fresh verifier says.
    public func verdict(_ secret: SecretText, at now: UnixSeconds? = nil) throws -> Verdict {
        try verifier().verdict(secret.revealBytes(), at: now ?? store.clock.now())
    }

    /// A key without limits.
    public func key(owner: String = "alice") async throws -> IssuedCredential {
        try await issuer.createKeys(KeyRequest(owner: owner))[0]
    }

    /// A client with a secret that may ask for `read` and `write`.
    public func client(name: String = "app") async throws -> IssuedClient {
        try await issuer.createClient(
            ClientRequest(name: name, grants: ["client_credentials"], scope: ["read", "write"]))
    }

    /// Puts a credential into the store that no issuer would make: already expired, or of a kind without an endpoint.
    @discardableResult
    public func plant(
        _ kind: CredentialKind = .apiKey, owner: String = "alice",
        _ change: @escaping @Sendable (inout StoredCredential) -> Void = { _ in }
    ) async throws -> (id: CredentialID, secret: SecretText) {
        try await plant([born(kind, owner: owner, change)])[0]
    }

    /// Puts many credentials into the store in one mutation.
    public func plant(
        count: Int, owner: (Int) -> String
    ) async throws -> [(id: CredentialID, secret: SecretText)] {
        try await plant((0..<count).map { try born(.apiKey, owner: owner($0)) { _ in } })
    }

    /// The same with rows that `change` has touched.
    public func plant(
        count: Int, kind: CredentialKind, _ change: (Int, inout StoredCredential) -> Void
    ) async throws -> [(id: CredentialID, secret: SecretText)] {
        try await plant((0..<count).map { number in try born(kind, owner: "alice") { change(number, &$0) } })
    }

    private func plant(
        _ born: [(credential: StoredCredential, secret: SecretText)]
    ) async throws -> [(id: CredentialID, secret: SecretText)] {
        let inserted = try await store.write(creates: true) { writer, transaction in
            for (credential, _) in born {
                guard try writer.insert(credential, in: transaction) else { return false }
            }
            return true
        }
        guard inserted else { throw NotMinted() }
        return born.map { ($0.credential.record.id, $0.secret) }
    }

    private func born(
        _ kind: CredentialKind, owner: String, _ change: (inout StoredCredential) -> Void
    ) throws -> (credential: StoredCredential, secret: SecretText) {
        let id = CredentialID.random()
        let secret = CredentialFormat.mint(kind: kind, id: id, vendor: store.vendor)
        let place = store.peppers.newest
        let bytes = secret.revealBytes()
        guard let native = NativeCredential(bytes.octets, vendor: store.vendor) else { throw NotMinted() }
        let tag = store.peppers.tag(of: native.block, at: place)
        let record = CredentialRecord(id: id, kind: kind, tag: tag, pepper: place.number)
        var credential = StoredCredential(record: record, owner: Array(owner.utf8), name: nil)
        credential.record.issuedAt = store.clock.now()
        change(&credential)
        return (credential, secret)
    }

    public struct NotMinted: Error {}
}

extension Verifier {
    /// What it says of some bytes; a span cannot stand inside an expectation.
    public func verdict(_ presented: [UInt8], at now: UnixSeconds) throws -> Verdict {
        try verify(presented.octets, at: now)
    }

    public func verdict(_ presented: String, at now: UnixSeconds) throws -> Verdict {
        try verdict(Array(presented.utf8), at: now)
    }
}

/// Waits until something is so that happens on another thread, up to ten seconds.
public func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
    for _ in 0..<2_000 {
        if try await condition() { return true }
        try await Task.sleep(nanoseconds: 5_000_000)
    }
    return false
}
