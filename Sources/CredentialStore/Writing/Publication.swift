public import CredentialDigest
import CredentialModel
public import RecordCache
import Synchronization

/// What readers must learn from a commit before it is acknowledged (see `RecordCache` for the proof).
struct Publication {
    /// Credentials for which older copies become invalid.
    var floors: [CredentialID] = []
    /// New credentials.
    var issued: [CredentialID] = []
    var watermarks: [(WatermarkSubject, Watermark)] = []
    var clients: [ClientDefinition] = []
    /// Schemes by which credentials were imported: from now on presented keys are looked up by them.
    var foreignSchemes = ForeignSchemeSet()
    var peppersAdded: [Pepper] = []
    var peppersRetired: [UInt16] = []
    /// Which peppers or schemes are in use has changed. Whoever decided that has said which; a replay must look.
    var changesKeys = false
    /// A comparison of the stores of a fleet begins behind this transaction.
    var comparison: UInt64?
    /// The highest journal number assigned; 0 for none.
    var journalNumber: UInt64 = 0
    /// The highest journal number of an entry that can invalidate an answer.
    var otherNumber: UInt64?

    /// Whether an earlier answer may be wrong.
    var endsSomething: Bool { otherNumber != nil }

    /// Adds what readers must learn from a later transaction.
    mutating func add(_ later: Publication) {
        floors += later.floors
        issued += later.issued
        watermarks += later.watermarks
        clients += later.clients
        foreignSchemes = ForeignSchemeSet(bits: foreignSchemes.bits | later.foreignSchemes.bits)
        peppersAdded += later.peppersAdded
        peppersRetired += later.peppersRetired
        changesKeys = changesKeys || later.changesKeys
        comparison = later.comparison ?? comparison
        journalNumber = max(journalNumber, later.journalNumber)
        otherNumber = later.otherNumber ?? otherNumber
    }
}

/// What all verifying threads share: cached records, bulk revocations, and the texts to which records refer by number.
public final class Published: Sendable {
    public let cache: RecordCache
    public let watermarks: WatermarkTable
    public let interned: InternedTable
    public let clients: ClientDirectory
    public let idFilter: IDFilter
    /// How far the journal may be announced.
    public let changes = ChangeSignal()
    private let foreignSchemeBits = Atomic<UInt32>(0)

    /// - Parameters:
    ///   - cacheBytes: memory for copies of records; at least ``RecordCache/bytesMin``.
    ///   - idCapacity: number of credentials that the store will probably hold.
    /// - Returns: nil when the system does not give the memory.
    public init?(cacheBytes: Int, idCapacity: Int) {
        guard let cache = RecordCache(bytes: cacheBytes), let watermarks = WatermarkTable(),
            let idFilter = IDFilter(capacity: idCapacity)
        else { return nil }
        self.idFilter = idFilter
        self.cache = cache
        self.watermarks = watermarks
        interned = InternedTable()
        clients = ClientDirectory()
    }

    /// The schemes by which any credential was imported; a presented text is hashed and looked up only by these.
    ///
    /// Acquire: pairs with the release in ``note(_:)``, which lies between a commit and its acknowledgement. Bits are
    /// only added, so a caller that presents a key after its import was acknowledged finds its scheme here.
    public var foreignSchemes: ForeignSchemeSet { ForeignSchemeSet(bits: foreignSchemeBits.load(ordering: .acquiring)) }

    func note(_ schemes: ForeignSchemeSet) {
        // Nearly always there is nothing new; a read leaves the cache line shared.
        if foreignSchemes.bits | schemes.bits != foreignSchemes.bits {
            foreignSchemeBits.bitwiseOr(schemes.bits, ordering: .releasing)
        }
    }

    /// Whether a credential is revoked, by itself or in bulk, as far as was acknowledged.
    public func isRevoked(_ credential: StoredCredential) -> Bool {
        if credential.record.flags.contains(.revoked) || watermarks.revokes(credential.record) { return true }
        return !credential.record.owner.isWhole
            && watermarks.revokes(credential.record, longOwner: credential.owner.octets)
    }

    /// Makes a commit visible to all readers. Must be called after the commit and before its acknowledgement.
    func apply(_ publication: Publication, transaction: UInt64, peppers: PepperRing) {
        for (subject, watermark) in publication.watermarks { watermarks.raise(subject, to: watermark) }
        note(publication.foreignSchemes)
        for client in publication.clients { clients.publish(client) }
        for id in publication.floors { cache.raiseFloor(of: id, to: transaction) }
        for id in publication.issued { idFilter.insert(id) }
        for pepper in publication.peppersAdded { _ = peppers.add(pepper) }
        for number in publication.peppersRetired { _ = peppers.retire(number) }
        // Last: a listener may ask as soon as it is told of a change, and must not get an answer from before it.
        if publication.journalNumber > 0 {
            changes.publish(newest: publication.journalNumber, other: publication.otherNumber)
        }
    }
}
