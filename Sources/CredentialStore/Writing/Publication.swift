public import CredentialDigest
import CredentialModel
public import RecordCache
import Synchronization

/// What readers have to learn from a commit before it is acknowledged (see `RecordCache` for the proof).
struct Publication {
    /// Credentials that lost something: older copies must not count.
    var floors: [CredentialID] = []
    /// Credentials that did not exist before.
    var born: [CredentialID] = []
    var watermarks: [(WatermarkSubject, Watermark)] = []
    var clients: [ClientDefinition] = []
    /// Credentials were imported by these: from now on foreign shapes are looked up by them.
    var foreignSchemes = ForeignSchemeSet()
    var peppersAdded: [Pepper] = []
    var peppersRetired: [UInt16] = []
    /// The highest journal number given; 0 for none.
    var journalNumber: UInt64 = 0
    /// The highest that is not about something issued.
    var otherNumber: UInt64?
}

/// What all verifying threads share: the copies, the bulk revocations and the texts that records name by number.
public final class Published: Sendable {
    public let cache: RecordCache
    public let watermarks: WatermarkTable
    public let interned: InternedTable
    public let clients: ClientDirectory
    public let liveIDs: LiveIDs
    /// How far the journal may be told.
    public let changes = ChangeSignal()
    private let foreignSchemeBits = Atomic<UInt32>(0)

    /// - Parameters:
    ///   - cacheBytes: memory for copies of records; ``RecordCache/bytesMin`` at least.
    ///   - idCapacity: credentials that the store will probably hold.
    /// - Returns: nil when the system does not give the memory.
    public init?(cacheBytes: Int, idCapacity: Int) {
        guard let cache = RecordCache(bytes: cacheBytes), let watermarks = WatermarkTable(),
            let liveIDs = LiveIDs(capacity: idCapacity)
        else { return nil }
        self.liveIDs = liveIDs
        self.cache = cache
        self.watermarks = watermarks
        interned = InternedTable()
        clients = ClientDirectory()
    }

    /// What credentials were ever imported by; for no other scheme is a presented text hashed and looked up.
    ///
    /// Acquire: pairs with the release in ``note(_:)``, which lies between a commit and its acknowledgement. Bits are only
    /// ever added, so that whoever presents a key after its import was acknowledged finds its scheme here.
    public var foreignSchemes: ForeignSchemeSet { ForeignSchemeSet(bits: foreignSchemeBits.load(ordering: .acquiring)) }

    func note(_ schemes: ForeignSchemeSet) {
        // Nearly always nothing new: reading leaves the line with all readers.
        if foreignSchemes.bits | schemes.bits != foreignSchemes.bits {
            foreignSchemeBits.bitwiseOr(schemes.bits, ordering: .releasing)
        }
    }

    /// Whether a credential is revoked, by itself or in bulk, as far as was acknowledged.
    public func isRevoked(_ credential: StoredCredential) -> Bool {
        if credential.record.flags.contains(.revoked) || watermarks.kills(credential.record) { return true }
        return !credential.record.owner.isWhole
            && watermarks.kills(credential.record, longOwner: credential.owner.octets)
    }

    /// Tells all readers of a commit. After the commit, before its acknowledgement: the order is the contract.
    func apply(_ publication: Publication, transaction: UInt64, peppers: PepperRing) {
        for (subject, watermark) in publication.watermarks { watermarks.raise(subject, to: watermark) }
        note(publication.foreignSchemes)
        for client in publication.clients { clients.publish(client) }
        for id in publication.floors { cache.raiseFloor(of: id, to: transaction) }
        for id in publication.born { liveIDs.insert(id) }
        for pepper in publication.peppersAdded { _ = peppers.add(pepper) }
        for number in publication.peppersRetired { _ = peppers.retire(number) }
        // Last: who is told of a change may ask at once, and must not be answered from before it.
        if publication.journalNumber > 0 {
            changes.publish(newest: publication.journalNumber, other: publication.otherNumber)
        }
    }
}
