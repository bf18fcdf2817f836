import CredentialDigest
public import CredentialModel
public import CredentialStore
public import RecordCache

/// Decides whether to accept a presented credential: parse → tag → cache → store → decide.
///
/// Make one per thread: it owns that thread's read transaction. Runs to completion on the calling thread and, on a
/// cache hit, takes no lock and allocates nothing. (With a followed store, calls during a commit of its owner take a
/// snapshot, the first call after it reads what was committed, and others wait for that.)
///
/// After the store's owner, this process or another, has acknowledged a revocation, edit or rotation, every call that
/// starts later sees it. The proofs are in RecordCache.swift, CommitFollower.swift and, for the nodes of a fleet,
/// ClusterNode.swift.
public final class Verifier: @unchecked Sendable {
    /// Counters for metrics. Readable on any thread.
    public let counters = VerifierCounters()

    let reader: StoreReader
    let published: Published
    /// The texts to which records refer by number.
    public let interned: InternedTable
    /// The time to use for verdicts. Read it once per burst.
    public let clock: TrustedClock
    let cache: RecordCache
    private let idFilter: IDFilter
    private let watermarks: WatermarkTable
    let peppers: PepperRing
    let foreignSchemes: ForeignSchemes
    let vendor: Vendor
    /// Reports accepted credentials as used; nil for a verifier whose calls do not count as uses.
    private let uses: UseReports?
    /// The owner of the record that the last call found, if it is longer than a record can hold.
    private var longOwner: [UInt8] = []
    private let source: Source
    /// Whether other nodes change the store too, and this one is up to date; nil for a store of its own. Beside `source`,
    /// so that looking costs no reference count, which all threads would share.
    private let freshness: Freshness?

    /// Where the store is written.
    private enum Source {
        /// In this process, which accepts offered writes.
        case owned(CredentialStore)
        /// In another process, whose commits are followed.
        case followed(FollowedStore)
    }

    /// Whether a credential of which the store has never heard is an error (``SharedLogFailure/unheardOf``) and no verdict.
    /// On a node of a fleet, another node may have made it a moment ago: ``CredentialStore/catchUp(_:)``, and verify it
    /// again without this.
    public var refusesUnheardOf = false
    /// How often that was the case.
    public private(set) var unheardOf: UInt64 = 0

    /// Every how many hits one is recorded for eviction: recording each would contend for a shared cache line.
    private static let touchInterval: UInt64 = 8

    /// A verifier for this process's own store.
    /// - Parameter reportsUses: whether accepted credentials are reported as used.
    /// - Throws: ``StoreFailure`` when no reader slot is left.
    public convenience init(store: CredentialStore, reportsUses: Bool = true) throws(StoreFailure) {
        let uses = reportsUses ? UseReports() : nil
        try self.init(store, .owned(store), uses, store.fleet?.freshness)
        if let uses { store.uses.add(uses) }
    }

    /// A verifier for a store that another process owns. It does not report uses, because only the owner writes.
    /// - Throws: ``StoreFailure`` when no reader slot is left. ``SharedLogFailure/notFollowed(fleet:)`` for the store of a
    ///   node of a fleet, whose lease this process does not know.
    public convenience init(store: FollowedStore) throws(StoreFailure) {
        if let fleet = store.fleet { throw .shared(.notFollowed(fleet: fleet)) }
        try self.init(store, .followed(store), nil, nil)
    }

    private init(
        _ store: some VerifiableStore, _ source: Source, _ uses: UseReports?, _ freshness: Freshness?
    ) throws(StoreFailure) {
        reader = try store.makeReader()
        published = store.published
        interned = published.interned
        cache = published.cache
        idFilter = published.idFilter
        watermarks = published.watermarks
        clock = store.clock
        peppers = store.peppers
        foreignSchemes = store.foreignSchemes
        vendor = store.vendor
        self.uses = uses
        self.source = source
        self.freshness = freshness
    }

    /// Learns what another process has committed to its store, or makes sure that this node of a fleet has what others
    /// have acknowledged. Before the first look into the cache, and between a read of the store and the judgement of its
    /// result.
    @inline(__always)
    func follow(at now: UnixSeconds) throws(StoreFailure) {
        if let freshness, freshness.isOver() { throw freshness.refuse() }
        if case .followed(let store) = source { try store.follow(at: now) }
    }

    /// Decides whether a presented credential is usable now.
    ///
    /// - Parameters:
    ///   - presented: the bytes as received, of any length and content.
    ///   - now: seconds since the Unix epoch, read once per burst.
    /// - Returns: the record when its secret matches and it is valid; else the reason. The caller checks scope,
    ///   audience and network with ``Decision``.
    /// - Throws: ``StoreFailure`` when the store cannot answer. Unknown is a verdict, not an error.
    /// - SeeAlso: RFC 7662 §2.2
    public func verify(_ presented: RawSpan, at now: UnixSeconds) throws(StoreFailure) -> Verdict {
        var record = CredentialRecord.blank
        if let reason = try verify(presented, at: now, into: &record) { return .inactive(reason) }
        return .active(record)
    }

    /// Decides whether a presented credential is usable now, and fills in the caller's record, which avoids copies.
    ///
    /// - Parameters:
    ///   - presented: the bytes as received, of any length and content.
    ///   - now: seconds since the Unix epoch, read once per burst.
    ///   - record: filled in if the secret matched, that is, unless the result is unknown or malformed; otherwise
    ///     undefined.
    /// - Returns: nil when the credential is active.
    /// - Throws: ``StoreFailure`` when the store cannot answer.
    public func verify(
        _ presented: RawSpan, at now: UnixSeconds, into record: inout CredentialRecord
    ) throws(StoreFailure) -> InactiveReason? {
        guard let claimed = ClaimedCredential(presented, vendor: vendor) else {
            try follow(at: now)
            return try verifyForeign(presented, at: now, into: &record)
        }
        let place = cache.prefetch(claimed.id)
        try follow(at: now)
        // Hashing takes about as long as memory takes to answer.
        let pepper = peppers.newest
        let newest = NewestTag(tag: peppers.tag(of: claimed.block, at: pepper), pepper: pepper)
        let credential = TaggedCredential(newest: newest, checksum: claimed.checksum, place: place)
        if let slot = find(credential, into: &record) {
            return decide(&record, in: slot, newest: newest, at: now)
        }
        return try verifyInFull(presented, claimed, credential, at: now, into: &record)
    }

    /// Finds a valid cached record with the tag and checksum of a presented credential.
    ///
    /// The tag is over kind, id and secret: if it matches, the record is the right one and all three are as issued. A
    /// matching checksum completes the presented text, so nothing is left to parse.
    @inline(__always)
    func find(_ credential: TaggedCredential, into record: inout CredentialRecord) -> RecordSlot? {
        let (tag, pepper) = (credential.newest.tag, credential.newest.pepper.number)
        if cache.lookUpAtHome(
            credential.place, tag: tag, pepper: pepper, checksum: credential.checksum, into: &record)
        {
            if isTouching { cache.noteHitAtHome(credential.place) }
            counters.hits.increment()
            return credential.place.homeSlot
        }
        let slot = cache.lookUpElsewhere(
            credential.place, tag: tag, pepper: pepper, checksum: credential.checksum, into: &record,
            touch: isTouching)
        if slot != nil { counters.hits.increment() }
        return slot
    }

    /// Whether to record the next hit for eviction.
    @inline(__always)
    private var isTouching: Bool { counters.hits.value % Self.touchInterval == 0 }

    /// Parses the whole text, then answers from the cache if the pepper is an older one or the secret is wrong;
    /// otherwise from the store, and offers the cache what it read.
    @inline(never)
    func verifyInFull(
        _ presented: RawSpan, _ claimed: borrowing ClaimedCredential, _ credential: TaggedCredential,
        at now: UnixSeconds, into record: inout CredentialRecord
    ) throws(StoreFailure) -> InactiveReason? {
        guard let (id, kind) = claimed.confirm(presented) else {
            return try verifyForeign(presented, at: now, into: &record)
        }
        let newest = credential.newest
        // A copy whose pepper was retired meanwhile is older than the store's row, which has a newer tag.
        if let slot = cache.lookUp(id, at: credential.place, into: &record, touch: isTouching),
            let presentedTag = tag(of: claimed.block, under: record.pepper, newest: newest)
        {
            counters.hits.increment()
            guard ConstantTime.equal(presentedTag, record.tag) else { return .unknown }
            return decide(&record, in: slot, newest: newest, at: now)
        }
        counters.misses.increment()
        if !idFilter.mayContain(id) { return try verdictOnUnheardOf(.unknown) }
        // Twice, since a pepper may be retired between reading the row and finding the pepper: by then the row has a
        // newer tag.
        for _ in 0..<2 {
            guard case .found(let stamp) = try read(id, kind, at: now, into: &record) else {
                return try verdictOnUnheardOf(.unknown)
            }
            guard let presentedTag = tag(of: claimed.block, under: record.pepper, newest: newest) else { continue }
            guard ConstantTime.equal(presentedTag, record.tag) else { return .unknown }
            // Only now is it certain that the caller knows the secret: unknown ids and wrong secrets never fill the
            // cache.
            cache.fill(&record, at: credential.place, stamp: stamp, checksum: credential.checksum)
            return decide(&record, in: nil, newest: newest, at: now)
        }
        return try verdictWithoutPepper(on: &record)
    }

    /// The verdict on a credential that is not in the store.
    func verdictOnUnheardOf(_ reason: InactiveReason) throws(StoreFailure) -> InactiveReason {
        guard refusesUnheardOf else { return reason }
        unheardOf &+= 1
        throw .shared(.unheardOf)
    }

    /// The whole owner of the record that the last call returned, even if it has more than 64 bytes.
    public func owner(of record: CredentialRecord) -> [UInt8] {
        record.holdsWholeOwner ? record.owner.bytes : longOwner
    }

    /// The presented credential's tag under a record's pepper; nil when that pepper is not in use.
    @inline(__always)
    private func tag(of block: borrowing TagBlock, under pepper: UInt16, newest: NewestTag) -> Tag? {
        if pepper == newest.pepper.number { return newest.tag }
        guard let older = peppers.place(of: pepper) else { return nil }
        return peppers.tag(of: block, at: older)
    }

    /// Reads a record, and learns the texts to which it refers, which its snapshot may have added.
    func read(
        _ id: CredentialID, _ kind: CredentialKind, at now: UnixSeconds, into record: inout CredentialRecord
    ) throws(StoreFailure) -> StoreReader.Outcome {
        // A local variable: a class's stored property would be under an exclusivity check for the whole read.
        var owner: [UInt8] = []
        let outcome = try reader.read(id, kind, into: &record, longOwner: &owner)
        if !owner.isEmpty { longOwner = owner }
        if case .damaged(let failure) = outcome { throw failure }
        try follow(at: now)
        return outcome
    }

    /// Judges a record whose secret matched.
    /// - Parameters:
    ///   - record: not modified; `inout` avoids a 168-byte copy.
    ///   - slot: where it was found; nil if it was read from the store.
    ///   - newest: the tag to which the record is moved if its own is of an older pepper.
    @inline(__always)
    func decide(
        _ record: inout CredentialRecord, in slot: RecordSlot?, newest: NewestTag, at now: UnixSeconds
    ) -> InactiveReason? {
        if !watermarks.isEmpty, isRevokedInBulk(&record) { return .revoked }
        if let reason = Decision.evaluate(
            record.flags, notBefore: record.notBefore, expiresAt: record.expiresAt, at: now)
        {
            return reason
        }
        // Does not read the record, because it was just written in pieces.
        if slot.map({ !cache.hasReportedUse($0) }) ?? true { reportUse(of: &record, in: slot, at: now) }
        if record.pepper != newest.pepper.number {
            offerRetag(&record, to: newest.tag, pepper: newest.pepper.number)
        }
        return nil
    }

    @inline(never)
    private func reportUse(of record: inout CredentialRecord, in slot: RecordSlot?, at now: UnixSeconds) {
        if let uses, uses.report(record.id, now), let slot { cache.noteReportedUse(slot) }
    }

    /// The verdict on a record whose pepper is not in use. A pepper is retired when only revoked records refer to it.
    func verdictWithoutPepper(on record: inout CredentialRecord) throws(StoreFailure) -> InactiveReason {
        guard record.flags.contains(.revoked) || isRevokedInBulk(&record) else {
            throw .pepperMissing(number: record.pepper)
        }
        // The secret can no longer be verified, so the answer is the same as for a wrong secret.
        return .unknown
    }

    private func isRevokedInBulk(_ record: inout CredentialRecord) -> Bool {
        if watermarks.revokes(record) { return true }
        if record.holdsWholeOwner { return false }
        let owner = longOwner
        return watermarks.revokes(record, longOwner: owner.octets)
    }

    /// Moves a record to the newest pepper, if the writer has time for it.
    ///
    /// - Parameter record: not modified. A copy before the call would read it in larger pieces than it was just written
    ///   in, which stalls the processor.
    @inline(never)
    private func offerRetag(_ record: inout CredentialRecord, to tag: Tag, pepper: UInt16) {
        let id = record.id
        let expected = record.tag
        guard case .owned(let store) = source else { return }
        store.offer { writer, transaction in
            _ = try writer.retag(id, expected: expected, to: tag, pepper: pepper, in: transaction)
        }
    }
}

/// A presented credential's tag under the newest pepper, and that pepper.
struct NewestTag {
    let tag: Tag
    let pepper: PepperPlace
}

/// What a presented native credential is looked up by in the cache.
///
/// The hashed block is not part of it: a copy of that would be read in larger pieces than it was just written in, which
/// stalls the processor.
struct TaggedCredential {
    let newest: NewestTag
    /// The last six digits of the text, in memory order.
    let checksum: UInt64
    /// Where the cache would have the record.
    let place: RecordPlace
}

/// What a verifier needs of a store, whoever writes it.
private protocol VerifiableStore {
    var published: Published { get }
    var clock: TrustedClock { get }
    var peppers: PepperRing { get }
    var foreignSchemes: ForeignSchemes { get }
    var vendor: Vendor { get }
    func makeReader() throws(StoreFailure) -> StoreReader
}

extension CredentialStore: VerifiableStore {}
extension FollowedStore: VerifiableStore {}
