import CredentialDigest
public import CredentialModel
public import CredentialStore
public import RecordCache
import Synchronization

/// Decides whether to accept a presented credential: parse → tag → cache → store → decide.
///
/// Make one per thread: it owns that thread's read transaction. Runs to completion on the calling thread and, on a
/// cache hit, takes no lock and allocates nothing. (With a followed store, calls during a commit of its owner take a
/// snapshot, the first call after it reads what was committed, and others wait for that.)
///
/// After the store's owner, this process or another, has acknowledged a revocation, edit or rotation, every call that
/// starts later sees it. The proofs are in RecordCache.swift and CommitFollower.swift.
public final class Verifier: @unchecked Sendable {
    /// Counters for metrics. Readable on any thread.
    public let counters = VerifierCounters()

    private let reader: StoreReader
    private let published: Published
    /// The texts to which records refer by number.
    public let interned: InternedTable
    /// The time to use for verdicts. Read it once per burst.
    public let clock: TrustedClock
    let cache: RecordCache
    private let idFilter: IDFilter
    private let watermarks: WatermarkTable
    let peppers: PepperRing
    private let foreignSchemes: ForeignSchemes
    let vendor: Vendor
    /// Reports accepted credentials as used; nil for a verifier whose calls do not count as uses.
    private let uses: UseReports?
    /// The owner of the record that the last call found, if it is longer than a record can hold.
    private var longOwner: [UInt8] = []
    private let source: Source

    /// Where the store is written.
    private enum Source {
        /// In this process, which accepts offered writes.
        case owned(CredentialStore)
        /// In another process, whose commits are followed.
        case followed(FollowedStore)
    }

    /// Every how many hits one is recorded for eviction: recording each would contend for a shared cache line.
    private static let touchInterval: UInt64 = 8

    /// A verifier for this process's own store.
    /// - Parameter reportsUses: whether accepted credentials are reported as used.
    /// - Throws: ``StoreFailure`` when no reader slot is left.
    public convenience init(store: CredentialStore, reportsUses: Bool = true) throws(StoreFailure) {
        let uses = reportsUses ? UseReports() : nil
        try self.init(store, .owned(store), uses)
        if let uses { store.uses.add(uses) }
    }

    /// A verifier for a store that another process owns. It does not report uses, because only the owner writes.
    /// - Throws: ``StoreFailure`` when no reader slot is left.
    public convenience init(store: FollowedStore) throws(StoreFailure) {
        try self.init(store, .followed(store), nil)
    }

    private init(_ store: some VerifiableStore, _ source: Source, _ uses: UseReports?) throws(StoreFailure) {
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
    }

    /// Learns what another process has committed to its store. Before the first look into the cache, and between a read
    /// of the store and the judgement of its result.
    @inline(__always)
    func follow(at now: UnixSeconds) throws(StoreFailure) {
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

    /// The same for callers that reuse a record, which avoids copies.
    ///
    /// - Parameter record: filled in if the secret matched, that is, unless the result is unknown or malformed;
    ///   otherwise undefined.
    /// - Returns: nil when the credential is active.
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
        let newest = peppers.newest
        let tag = peppers.tag(of: claimed.block, at: newest)
        if let slot = find(tag, claimed.checksum, at: newest, place, into: &record) {
            return decide(&record, in: slot, at: now, newest: newest, tag)
        }
        return try verifyInFull(presented, claimed, tag, at: newest, place, now, into: &record)
    }

    /// Finds a valid cached record with this tag and checksum.
    ///
    /// The tag is over kind, id and secret: if it matches, the record is the right one and all three are as issued. A
    /// matching checksum completes the presented text, so nothing is left to parse.
    @inline(__always)
    func find(
        _ tag: Tag, _ checksum: UInt64, at newest: PepperPlace, _ place: RecordPlace,
        into record: inout CredentialRecord
    ) -> RecordSlot? {
        if cache.lookUpAtHome(place, tag: tag, pepper: newest.number, checksum: checksum, into: &record) {
            if isTouching { cache.noteHitAtHome(place) }
            counters.hits.increment()
            return place.homeSlot
        }
        let slot = cache.lookUpElsewhere(
            place, tag: tag, pepper: newest.number, checksum: checksum, into: &record, touch: isTouching)
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
        _ presented: RawSpan, _ claimed: borrowing ClaimedCredential, _ tag: Tag, at newest: PepperPlace,
        _ place: RecordPlace, _ now: UnixSeconds, into record: inout CredentialRecord
    ) throws(StoreFailure) -> InactiveReason? {
        guard let (id, kind) = claimed.confirm(presented) else {
            return try verifyForeign(presented, at: now, into: &record)
        }
        // A copy whose pepper was retired meanwhile is older than the store's row, which has a newer tag.
        if let slot = cache.lookUp(id, at: place, into: &record, touch: isTouching),
            let presentedTag = self.tag(of: claimed.block, under: record.pepper, made: tag, at: newest)
        {
            counters.hits.increment()
            guard ConstantTime.equal(presentedTag, record.tag) else { return .unknown }
            return decide(&record, in: slot, at: now, newest: newest, tag)
        }
        counters.misses.increment()
        if !idFilter.mayContain(id) { return .unknown }
        // Twice, since a pepper may be retired between reading the row and finding the pepper: by then the row has a
        // newer tag.
        for _ in 0..<2 {
            guard case .found(let stamp) = try read(id, kind, at: now, into: &record) else { return .unknown }
            guard let presentedTag = self.tag(of: claimed.block, under: record.pepper, made: tag, at: newest) else {
                continue
            }
            guard ConstantTime.equal(presentedTag, record.tag) else { return .unknown }
            // Only now is it certain that the caller knows the secret: unknown ids and wrong secrets never fill the
            // cache.
            cache.fill(&record, at: place, stamp: stamp, checksum: claimed.checksum)
            return decide(&record, in: nil, at: now, newest: newest, tag)
        }
        return try verdictWithoutPepper(on: &record)
    }

    /// The whole owner of the record that the last call returned, even if it has more than 64 bytes.
    public func owner(of record: CredentialRecord) -> [UInt8] {
        record.holdsWholeOwner ? record.owner.bytes : longOwner
    }

    /// The presented credential's tag under a record's pepper; nil when that pepper is not in use.
    @inline(__always)
    private func tag(
        of block: borrowing TagBlock, under pepper: UInt16, made tag: Tag, at newest: PepperPlace
    ) -> Tag? {
        if pepper == newest.number { return tag }
        guard let place = peppers.place(of: pepper) else { return nil }
        return peppers.tag(of: block, at: place)
    }

    /// Reads a record, and learns the texts to which it refers, which its snapshot may have added.
    private func read(
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
    @inline(__always)
    func decide(
        _ record: inout CredentialRecord, in slot: RecordSlot?, at now: UnixSeconds, newest place: PepperPlace,
        _ tag: Tag
    ) -> InactiveReason? {
        if !watermarks.isEmpty, isRevokedInBulk(&record) { return .revoked }
        if let reason = Decision.evaluate(
            record.flags, notBefore: record.notBefore, expiresAt: record.expiresAt, at: now)
        {
            return reason
        }
        // Does not read the record, because it was just written in pieces.
        if slot.map({ !cache.hasReportedUse($0) }) ?? true { reportUse(of: &record, in: slot, at: now) }
        if record.pepper != place.number { offerRetag(&record, to: tag, pepper: place.number) }
        return nil
    }

    @inline(never)
    private func reportUse(of record: inout CredentialRecord, in slot: RecordSlot?, at now: UnixSeconds) {
        if let uses, uses.report(record.id, now), let slot { cache.noteReportedUse(slot) }
    }

    /// The verdict on a record whose pepper is not in use. A pepper is retired when only revoked records refer to it.
    private func verdictWithoutPepper(on record: inout CredentialRecord) throws(StoreFailure) -> InactiveReason {
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

    /// Verifies credentials of other systems: found through the alias of the imported form, then treated like native
    /// ones.
    ///
    /// Tries all schemes of which the store has credentials, since one key may have been imported in two forms, which a
    /// hash does not reveal. Such a key is active only while both are: revoking either revokes it. The records are
    /// judged from the last scheme to the first, and the answer has the first scheme's record.
    func verifyForeign(
        _ presented: RawSpan, at now: UnixSeconds, into record: inout CredentialRecord
    ) throws(StoreFailure) -> InactiveReason? {
        guard CredentialFormat.isImportable(presented) else { return .malformed }
        let used = published.foreignSchemes
        if used.isEmpty { return .malformed }
        var isKnown = false
        for scheme in foreignSchemes.all.reversed() where used.contains(scheme) {
            let form = ForeignSchemes.form(of: presented, by: scheme)
            let alias = foreignSchemes.alias(of: form.octets, by: scheme)
            guard let id = try reader.alias(alias.octets) else { continue }
            if let reason = try verifyImported(form.octets, id, at: now, into: &record) { return reason }
            isKnown = true
        }
        return isKnown ? nil : .malformed
    }

    /// Decides on an imported credential whose alias led to an id.
    /// - Parameter form: the imported form: the key itself, or its hash.
    private func verifyImported(
        _ form: RawSpan, _ id: CredentialID, at now: UnixSeconds, into record: inout CredentialRecord
    ) throws(StoreFailure) -> InactiveReason? {
        let place = peppers.newest
        let newestTag = peppers.tag(ofImported: form, kind: .apiKey, id: id, at: place)
        var copy = cache.lookUp(id, into: &record, touch: true)
        // Repeats if a pepper was retired meanwhile: then a copy is older than the row, and a row that was read may be,
        // too.
        for _ in 0..<3 {
            var stamp: UInt64?
            let slot = copy
            if slot == nil {
                guard case .found(let read) = try read(id, .apiKey, at: now, into: &record) else { return .unknown }
                stamp = read
            }
            copy = nil
            var tag = newestTag
            if record.pepper != place.number {
                guard let older = peppers.place(of: record.pepper) else { continue }
                tag = peppers.tag(ofImported: form, kind: .apiKey, id: id, at: older)
            }
            guard ConstantTime.equal(tag, record.tag) else { return .unknown }
            if let stamp { cache.fill(record, stamp: stamp) }
            return decide(&record, in: slot, at: now, newest: place, newestTag)
        }
        return try verdictWithoutPepper(on: &record)
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

/// What one verifier has done since it was made.
///
/// Each verification writes here, and other threads' verifiers may be adjacent in memory. So the cache lines before and
/// after the counters are padding: a line written by two threads moves between their processors, which takes longer
/// than a verification.
public final class VerifierCounters: Sendable {
    // Two lines each, since processors fetch them in pairs.
    private let paddingBefore = InlineArray<16, UInt64>(repeating: 0)
    /// Native credentials answered from the cache.
    public let hits = SingleWriterCounter()
    /// Native credentials not answered from the cache. Imported ones are not counted.
    public let misses = SingleWriterCounter()
    private let paddingAfter = InlineArray<16, UInt64>(repeating: 0)
}

/// A counter that one thread increments and any thread may read. Cheaper than an atomic addition, which locks the line.
public struct SingleWriterCounter: ~Copyable, Sendable {
    private let count = Atomic<UInt64>(0)

    public init() {}

    public var value: UInt64 { count.load(ordering: .relaxed) }

    @inline(__always)
    public func increment() { add(1) }

    @inline(__always)
    public func add(_ number: UInt64) {
        // Relaxed load and store: only this thread writes, and the number publishes nothing.
        count.store(count.load(ordering: .relaxed) &+ number, ordering: .relaxed)
    }
}
