import CredentialDigest
public import CredentialModel
public import CredentialStore
public import RecordCache
import Synchronization

/// Answers whether a presented credential is to be accepted: the path parse → tag → cache → store → decide.
///
/// One per thread: it holds that thread's read transaction. Runs to completion on the calling thread and, on a cache hit,
/// takes no lock and allocates nothing. (Where a store is followed, calls beside a commit of its owner take a snapshot, the
/// first after it reads what it brought, and others wait for that.)
///
/// After a revocation, edit or rotation has been acknowledged by the store's owner, this process or another, every call that
/// starts then sees it. The proofs stand beside ``RecordCache`` and in CommitFollower.swift.
public final class Verifier: @unchecked Sendable {
    /// What this verifier has done, for metrics. Any thread may read them.
    public let counters = VerifierCounters()

    private let reader: StoreReader
    private let published: Published
    /// The texts that records name by number.
    public let interned: InternedTable
    /// The time that verdicts are to be made at. Read it once per burst.
    public let clock: TrustedClock
    let cache: RecordCache
    private let liveIDs: LiveIDs
    private let watermarks: WatermarkTable
    let peppers: PepperRing
    private let foreignSchemes: ForeignSchemes
    let vendor: Vendor
    /// Tells when credentials were last accepted; nil for a verifier whose questions are no uses.
    private let uses: UseNotes?
    /// The owner of the record that the last call found, if it has more bytes than a record holds.
    private var longOwner: [UInt8] = []
    /// This process's own store, which takes offers to write; nil where another process's is followed.
    private let owned: CredentialStore?
    /// Another process's store, which is to be followed; nil where it is this one's.
    let followed: FollowedStore?

    /// Hits between two that are remembered for eviction: writing each would make a shared line of it.
    private static let touchInterval: UInt64 = 8

    /// A verifier over this process's own store.
    /// - Parameter notesUses: whether what is accepted counts as used.
    /// - Throws: ``StoreFailure`` when the store has no reader left.
    public convenience init(store: CredentialStore, notesUses: Bool = true) throws(StoreFailure) {
        let uses = notesUses ? UseNotes() : nil
        self.init(
            try store.makeReader(), store.published, store.clock, store.peppers, store.foreignSchemes, store.vendor,
            uses,
            owned: store, followed: nil)
        if let uses { store.uses.add(uses) }
    }

    /// A verifier over a store that another process owns. What it accepts is not noted as used, since only the owner writes.
    /// - Throws: ``StoreFailure`` when the store has no reader left.
    public convenience init(store: FollowedStore) throws(StoreFailure) {
        self.init(
            try store.makeReader(), store.published, store.clock, store.peppers, store.foreignSchemes, store.vendor,
            nil,
            owned: nil, followed: store)
    }

    private init(
        _ reader: StoreReader, _ published: Published, _ clock: TrustedClock, _ peppers: PepperRing,
        _ foreignSchemes: ForeignSchemes, _ vendor: Vendor, _ uses: UseNotes?, owned: CredentialStore?,
        followed: FollowedStore?
    ) {
        self.reader = reader
        self.published = published
        interned = published.interned
        cache = published.cache
        liveIDs = published.liveIDs
        watermarks = published.watermarks
        self.clock = clock
        self.peppers = peppers
        self.foreignSchemes = foreignSchemes
        self.vendor = vendor
        self.uses = uses
        self.owned = owned
        self.followed = followed
    }

    /// Decides whether a presented credential is usable now.
    ///
    /// - Parameters:
    ///   - presented: the bytes as they came, of any length and content.
    ///   - now: seconds since the Unix epoch, read once per burst.
    /// - Returns: the record when its secret is right and it is alive; else the reason. Scope, audience and network are
    ///   judged by ``Decision`` from the record.
    /// - Throws: ``StoreFailure`` when the store cannot answer. Unknown is a verdict, not an error.
    /// - SeeAlso: RFC 7662 §2.2
    public func verify(_ presented: RawSpan, at now: UnixSeconds) throws(StoreFailure) -> Verdict {
        var record = CredentialRecord.blank
        if let reason = try verify(presented, at: now, into: &record) { return .inactive(reason) }
        return .active(record)
    }

    /// The same for callers that keep a record to be filled in, which saves copies of it.
    ///
    /// - Parameter record: what is known of the credential if its secret was right, that is unless it is unknown or
    ///   malformed; else of no meaning, and not to be looked at.
    /// - Returns: nil when it is active.
    public func verify(
        _ presented: RawSpan, at now: UnixSeconds, into record: inout CredentialRecord
    ) throws(StoreFailure) -> InactiveReason? {
        guard let claimed = ClaimedCredential(presented, vendor: vendor) else {
            if let followed { try followed.follow(at: now) }
            return try verifyForeign(presented, at: now, into: &record)
        }
        let place = cache.prefetch(claimed.id)
        // Before the first look into the cache.
        if let followed { try followed.follow(at: now) }
        // Hashing takes about as long as the memory does to answer.
        let newest = peppers.newest
        let tag = peppers.tag(of: claimed.block, at: newest)
        if let slot = find(tag, claimed.checksum, at: newest, place, into: &record) {
            return decide(&record, in: slot, at: now, newest: newest, tag)
        }
        return try verifyInFull(presented, claimed, tag, at: newest, place, now, into: &record)
    }

    /// Where the cache has a record that counts whose tag and checksum are these.
    ///
    /// The tag is over kind, id and secret: where it is right, the record is that of the id, and all of them are as issued. So
    /// is the checksum, if it is the issued one's; and nothing was left to read.
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

    /// Whether the next hit is to be remembered for eviction.
    @inline(__always)
    private var isTouching: Bool { counters.hits.value % Self.touchInterval == 0 }

    /// Reads the whole of the presented text, then answers from the cache if the pepper is an older one or the secret wrong,
    /// else from the store, and lets the cache know what that said.
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
        if liveIDs.surelyLacks(id) { return .unknown }
        // Twice, since a pepper may be retired between the read and the look for it: by then the row has a newer tag.
        for _ in 0..<2 {
            guard case .found(let stamp) = try read(id, kind, at: now, into: &record) else { return .unknown }
            guard let presentedTag = self.tag(of: claimed.block, under: record.pepper, made: tag, at: newest) else {
                continue
            }
            guard ConstantTime.equal(presentedTag, record.tag) else { return .unknown }
            // Only now is it sure that the one who asks knows the secret: unknown ids and wrong secrets never fill the
            // cache.
            cache.fill(&record, at: place, stamp: stamp, checksum: claimed.checksum)
            return decide(&record, in: nil, at: now, newest: newest, tag)
        }
        return try verdictWithoutPepper(on: &record)
    }

    /// The owner of the record that the last call returned, whole also when it has more than 64 bytes.
    public func owner(of record: CredentialRecord) -> [UInt8] {
        record.holdsWholeOwner ? record.owner.bytes : longOwner
    }

    /// The presented credential's tag under a record's pepper; nil when that one is not alive.
    @inline(__always)
    private func tag(
        of block: borrowing TagBlock, under pepper: UInt16, made tag: Tag, at newest: PepperPlace
    ) -> Tag? {
        if pepper == newest.number { return tag }
        guard let place = peppers.place(of: pepper) else { return nil }
        return peppers.tag(of: block, at: place)
    }

    /// Reads a record, and what else its snapshot may have brought: the texts that it names.
    private func read(
        _ id: CredentialID, _ kind: CredentialKind, at now: UnixSeconds, into record: inout CredentialRecord
    ) throws(StoreFailure) -> StoreReader.Outcome {
        // A local variable: what lies in an object is guarded against a second access for as long as the read lasts.
        var owner: [UInt8] = []
        let outcome = try reader.read(id, kind, into: &record, longOwner: &owner)
        if !owner.isEmpty { longOwner = owner }
        if case .damaged(let failure) = outcome { throw failure }
        if let followed { try followed.follow(at: now) }
        return outcome
    }

    /// Judges a record whose secret was right.
    /// - Parameters:
    ///   - record: not changed; `inout` because what is borrowed is copied first.
    ///   - slot: where it was found; nil if the store was asked.
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
        // The record is not looked at here: it was written in pieces a moment ago.
        if slot.map({ !cache.hasToldUse($0) }) ?? true { tellUse(of: &record, in: slot, at: now) }
        if record.pepper != place.number { offerRetag(&record, to: tag, pepper: place.number) }
        return nil
    }

    @inline(never)
    private func tellUse(of record: inout CredentialRecord, in slot: RecordSlot?, at now: UnixSeconds) {
        if let uses, uses.tell(record.id, now), let slot { cache.noteToldUse(slot) }
    }

    /// The verdict on a record whose pepper is not alive. A pepper is retired when only revoked records name it.
    private func verdictWithoutPepper(on record: inout CredentialRecord) throws(StoreFailure) -> InactiveReason {
        guard record.flags.contains(.revoked) || isRevokedInBulk(&record) else {
            throw .pepperMissing(number: record.pepper)
        }
        // Nobody can tell any more whether the secret is right, so this says no more than to a wrong one.
        return .unknown
    }

    private func isRevokedInBulk(_ record: inout CredentialRecord) -> Bool {
        if watermarks.kills(record) { return true }
        if record.holdsWholeOwner { return false }
        let owner = longOwner
        return watermarks.kills(record, longOwner: owner.octets)
    }

    /// Credentials of other systems: found through an alias of what was imported of them, then treated alike.
    ///
    /// All schemes are tried that the store has credentials of, since one key may have been imported in two forms, which
    /// nobody can see of a hash. Such a key is active only while both are: ending either ends it. The records are judged
    /// from the last scheme to the first, and what is answered is that of the first.
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
    /// - Parameter form: what is imported of it: itself, or its hash.
    private func verifyImported(
        _ form: RawSpan, _ id: CredentialID, at now: UnixSeconds, into record: inout CredentialRecord
    ) throws(StoreFailure) -> InactiveReason? {
        let place = peppers.newest
        let newestTag = peppers.tag(ofImported: form, kind: .apiKey, id: id, at: place)
        var copy = cache.lookUp(id, into: &record, touch: true)
        // Again where a pepper was retired since: then a copy is older than the row, and the row of a read may be.
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
    /// - Parameter record: not changed. Copied before the branch to here, it would be read in larger pieces than it was
    ///   written in a moment ago, for which processors wait until all before is done.
    @inline(never)
    private func offerRetag(_ record: inout CredentialRecord, to tag: Tag, pepper: UInt16) {
        let id = record.id
        let expected = record.tag
        owned?.offer { writer, transaction in
            _ = try writer.retag(id, expected: expected, to: tag, pepper: pepper, in: transaction)
        }
    }
}
