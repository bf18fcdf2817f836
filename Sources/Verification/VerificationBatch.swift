import CredentialDigest
public import CredentialModel
public import CredentialStore
import RecordCache

/// Credentials to be verified together, which is faster than one by one: while one is hashed, the memory for the next
/// is being loaded, and two are hashed at once.
///
/// Keep one per thread and reuse it; it allocates nothing after its creation.
///
/// ```swift
/// var batch = verifier.makeBatch()
/// batch.append(presented.span.bytes)
/// try verifier.verify(&batch, at: now) { index, reason, record in … }
/// ```
public struct VerificationBatch: ~Copyable {
    /// Most credentials in a batch.
    public static var capacity: Int { TagBatch.capacity }

    /// Credentials now in the batch.
    public private(set) var count = 0

    /// What was parsed from a text.
    private struct Entry {
        var checksum: UInt64 = 0
        var place = RecordPlace.nowhere
        /// Bytes kept of the text.
        var byteCount: Int32 = 0
        /// Whether it has the form of a native credential; if not, checksum and place are undefined.
        var isNative = false
    }

    private let vendor: Vendor
    private let cache: RecordCache
    // An array and not an InlineArray, because reading one element of that copies all of it.
    private var entries = [Entry](repeating: Entry(), count: capacity)
    var tags = TagBatch()

    init(vendor: Vendor, cache: RecordCache) {
        self.vendor = vendor
        self.cache = cache
    }

    /// Copies a presented credential, of any length and content, and starts to load its record from memory.
    /// - Returns: false when the batch is full.
    @discardableResult
    public mutating func append(_ presented: RawSpan) -> Bool {
        guard count < Self.capacity else { return false }
        guard let claimed = ClaimedCredential(presented, vendor: vendor) else {
            entries[count].isNative = false
            entries[count].byteCount = tags.setText(count, presented)
            count &+= 1
            return true
        }
        let place = cache.prefetch(claimed.id)
        tags.set(count, claimed.block, of: presented)
        entries[count].checksum = claimed.checksum
        entries[count].place = place
        entries[count].isNative = true
        count &+= 1
        return true
    }

    /// Removes all credentials.
    public mutating func removeAll() {
        count = 0
    }

    /// The text of a credential, truncated if it is too long for any credential.
    func withText<Value, Failure: Error>(
        _ index: Int, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let entry = entries[index]
        return try tags.withText(index, count: entry.isNative ? CredentialFormat.byteCount : Int(entry.byteCount), use)
    }

    /// What a credential is looked up by, once its tag is computed; nil unless it has the form of a native credential.
    @inline(__always)
    func credential(_ index: Int, under pepper: PepperPlace) -> TaggedCredential? {
        let entry = entries[index]
        guard entry.isNative else { return nil }
        return TaggedCredential(
            newest: NewestTag(tag: tags.tag(index), pepper: pepper), checksum: entry.checksum, place: entry.place)
    }
}

extension Verifier {
    /// Makes a reusable batch of credentials to be verified together.
    public func makeBatch() -> VerificationBatch { VerificationBatch(vendor: vendor, cache: cache) }

    /// Decides whether the credentials of a batch are usable now. The batch is not modified.
    ///
    /// - Parameters:
    ///   - now: seconds since the Unix epoch.
    ///   - each: called for each credential in order, with its index, the reason why it is inactive or nil, and its
    ///     record, valid until `each` returns. The record is meaningless if the credential is unknown or malformed.
    /// - Throws: ``StoreFailure`` when the store cannot answer for one of them; then `each` is not called again.
    public func verify(
        _ batch: inout VerificationBatch, at now: UnixSeconds,
        _ each: (_ index: Int, _ reason: InactiveReason?, _ record: inout CredentialRecord) -> Void
    ) throws(StoreFailure) {
        try follow(at: now)
        var record = CredentialRecord.blank
        let pepper = peppers.newest
        var first = 0
        while first < batch.count {
            peppers.makeTwo(of: &batch.tags, from: first, at: pepper)
            for index in first..<min(first &+ 2, batch.count) {
                let reason = try verify(batch, index, under: pepper, at: now, into: &record)
                each(index, reason, &record)
            }
            first &+= 2
        }
    }

    /// Decides on one credential of a batch, whose tag was already computed if it has the native form.
    @inline(__always)
    private func verify(
        _ batch: borrowing VerificationBatch, _ index: Int, under pepper: PepperPlace, at now: UnixSeconds,
        into record: inout CredentialRecord
    ) throws(StoreFailure) -> InactiveReason? {
        if let credential = batch.credential(index, under: pepper), let slot = find(credential, into: &record) {
            return decide(&record, in: slot, newest: credential.newest, at: now)
        }
        return try verifyInFull(batch, index, under: pepper, at: now, into: &record)
    }

    @inline(never)
    private func verifyInFull(
        _ batch: borrowing VerificationBatch, _ index: Int, under pepper: PepperPlace, at now: UnixSeconds,
        into record: inout CredentialRecord
    ) throws(StoreFailure) -> InactiveReason? {
        try batch.withText(index) { (text) throws(StoreFailure) in
            guard let claimed = ClaimedCredential(text, vendor: vendor),
                let credential = batch.credential(index, under: pepper)
            else { return try verifyForeign(text, at: now, into: &record) }
            return try verifyInFull(text, claimed, credential, at: now, into: &record)
        }
    }
}
