import CredentialDigest
import CredentialModel
import LMDB

/// The tables of a store and the version of their layout.
///
/// ```
/// credentials  id                       → header, tag, claims          (integer keys)
/// tokens       id                       → the same, of access tokens   (integer keys)
/// aliases      HMAC of a foreign key    → id                           (16 bytes)
/// journal      journal number           → event                        (integer keys)
/// expiry       time ‖ id                → kind                         (big-endian; behind all: times of revocation)
/// owners       owner ‖ 0 ‖ id           → nothing
/// interned     kind ‖ number            → text
/// clients      client number            → definition                   (integer keys)
/// watermarks   kind ‖ owner or number   → journal number, issued before
/// consents     subject ‖ 0 ‖ client     → time and scopes
/// audit        entry number             → who did what                 (integer keys)
/// uses         id                       → when last accepted           (integer keys)
/// requests     hash of Idempotency-Key  → ids of what it created
/// meta         name                     → value
/// ```
///
/// Rows of `expiry`, `owners`, `uses`, `requests` and `audit` are plain values: no verdict depends on the first four,
/// and the audit log has its own hash chain. All other tables are ``AuthenticatedTable``s.
struct Schema: Sendable {
    /// The version that this code reads and writes.
    static let version: UInt64 = 5
    static let tableCount = 14

    let credentials: AuthenticatedTable
    let tokens: AuthenticatedTable
    let aliases: AuthenticatedTable
    let journal: AuthenticatedTable
    let expiry: Database
    let owners: Database
    let interned: AuthenticatedTable
    let clients: AuthenticatedTable
    let watermarks: AuthenticatedTable
    let consents: AuthenticatedTable
    let audit: Database
    let uses: Database
    let requests: Database
    let meta: AuthenticatedTable
    let damage: DamageLog

    /// The version that a store was written with; 0 when it has none. Read before any other table, because another
    /// version may have other tables.
    static func version(
        of environment: Environment, in transaction: borrowing WriteTransaction
    ) throws(LMDBError) -> UInt64 {
        let meta = try environment.openDatabase("meta", keys: .bytes, in: transaction, create: false)
        return try transaction.get(meta, key: MetaName.schema.key.octets) { (value: RawSpan) throws(LMDBError) in
            value.byteCount == 8 ? value.word64(at: 0) : 0
        } ?? 0
    }

    /// Opens all tables, creating them if asked.
    init(
        _ environment: Environment, lookup: TagKey, create: Bool, in transaction: borrowing WriteTransaction
    ) throws(LMDBError) {
        self = try Self(lookup) { (name, keys) throws(LMDBError) in
            try environment.openDatabase(name, keys: keys, in: transaction, create: create)
        }
    }

    /// Opens all tables of an environment read-only. The environment must have this schema.
    @available(*, noasync)
    init(following environment: Environment, lookup: TagKey) throws {
        let meta = try environment.openDatabase("meta", keys: .bytes)
        let found = try environment.read { transaction in
            try transaction.get(meta, key: MetaName.schema.key.octets) {
                $0.byteCount == 8 ? $0.word64(at: 0) : 0
            } ?? 0
        }
        guard found <= Self.version else { throw StoreFailure.schemaTooNew(found: found, known: Self.version) }
        guard found == Self.version else { throw StoreFailure.schemaTooOld(found: found, known: Self.version) }
        self = try Self(lookup) { (name, keys) throws(LMDBError) in try environment.openDatabase(name, keys: keys) }
    }

    private init(
        _ lookup: TagKey, _ open: (_ name: String, _ keys: KeyShape) throws(LMDBError) -> Database
    ) throws(LMDBError) {
        let authenticator = RowAuthenticator(lookup: lookup)
        let damage = DamageLog()
        func table(_ name: AuthenticatedTable.Name, _ keys: KeyShape) throws(LMDBError) -> AuthenticatedTable {
            AuthenticatedTable(name, try open("\(name)", keys), authenticator, damage)
        }
        self.damage = damage
        credentials = try table(.credentials, .integer)
        tokens = try table(.tokens, .integer)
        aliases = try table(.aliases, .bytes)
        journal = try table(.journal, .integer)
        expiry = try open("expiry", .bytes)
        owners = try open("owners", .bytes)
        interned = try table(.interned, .bytes)
        clients = try table(.clients, .integer)
        watermarks = try table(.watermarks, .bytes)
        consents = try table(.consents, .bytes)
        audit = try open("audit", .integer)
        uses = try open("uses", .integer)
        requests = try open("requests", .bytes)
        meta = try table(.meta, .bytes)
    }

    /// The table for credentials of a kind. Access tokens have their own: their ids rise with time, so rows are
    /// appended at the end of the table and fill its pages.
    @inline(__always)
    func table(of kind: CredentialKind) -> AuthenticatedTable { kind == .accessToken ? tokens : credentials }

    /// The tables by name, for statistics and checks.
    var all: [(name: String, database: Database)] {
        [
            ("credentials", credentials.database), ("tokens", tokens.database), ("aliases", aliases.database),
            ("journal", journal.database), ("expiry", expiry),
            ("owners", owners), ("interned", interned.database), ("clients", clients.database),
            ("watermarks", watermarks.database),
            ("consents", consents.database), ("audit", audit), ("uses", uses), ("requests", requests),
            ("meta", meta.database),
        ]
    }
}

/// Keys of composite tables. Numbers are big-endian, so that they sort in numeric order.
enum TableKey {
    static func expiry(_ time: UnixSeconds, _ id: CredentialID) -> [UInt8] {
        var key: [UInt8] = []
        key.append(bigEndian: UInt64(clamping: time.rawValue))
        key.append(bigEndian: id.rawValue)
        return key
    }

    private static let endedBit: UInt64 = 1 << 63

    /// The key of a credential that is removed some time after its revocation (``StoredCredential/endedBy``). The first
    /// bit separates these keys from expiries: they come after all of them.
    static func ended(_ time: UnixSeconds, _ id: CredentialID) -> [UInt8] {
        var key: [UInt8] = []
        key.append(bigEndian: UInt64(clamping: time.rawValue) | endedBit)
        key.append(bigEndian: id.rawValue)
        return key
    }

    /// The time of such a key.
    static func endedTime(_ key: RawSpan) -> UnixSeconds? {
        guard key.byteCount == 16 else { return nil }
        return UnixSeconds(Int64(bitPattern: key.word64(at: 0).byteSwapped & ~endedBit))
    }

    /// The prefix of one owner's keys: the text, ended by a zero byte, which no owner contains.
    static func ownerPrefix(_ owner: [UInt8]) -> [UInt8] {
        owner + [0]
    }

    static func owner(_ owner: [UInt8], _ id: CredentialID) -> [UInt8] {
        var key = ownerPrefix(owner)
        key.append(bigEndian: id.rawValue)
        return key
    }

    static func interned(_ kind: UInt8, _ number: UInt32) -> [UInt8] {
        var key: [UInt8] = [kind]
        key.append(bigEndian: UInt64(number))
        return key
    }

    /// The number in the last eight bytes of a key.
    static func lastNumber(_ key: RawSpan) -> UInt64? {
        guard key.byteCount >= 8 else { return nil }
        return key.word64(at: key.byteCount - 8).byteSwapped
    }
}
