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
    struct Entry {
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

    @inline(__always)
    func entry(_ index: Int) -> Entry { entries[index] }
}

extension Verifier {
    /// Makes a reusable batch of credentials to be verified together.
    public func makeBatch() -> VerificationBatch { VerificationBatch(vendor: vendor, cache: cache) }

    /// The same for several credentials, see ``VerificationBatch``. The batch is not modified.
    ///
    /// - Parameter each: called for each credential in order, with its index, the reason why it is inactive or nil, and
    ///   its record, valid until `each` returns. The record is meaningless if the credential is unknown or malformed.
    /// - Throws: ``StoreFailure`` when the store cannot answer for one of them; then `each` is not called again.
    public func verify(
        _ batch: inout VerificationBatch, at now: UnixSeconds,
        _ each: (_ index: Int, _ reason: InactiveReason?, _ record: inout CredentialRecord) -> Void
    ) throws(StoreFailure) {
        try follow(at: now)
        var record = CredentialRecord.blank
        let newest = peppers.newest
        var first = 0
        while first < batch.count {
            peppers.makeTwo(of: &batch.tags, from: first, at: newest)
            for index in first..<min(first &+ 2, batch.count) {
                let reason = try verify(batch, index, at: now, newest, into: &record)
                each(index, reason, &record)
            }
            first &+= 2
        }
    }

    /// Decides on one credential of a batch, whose tag was already computed if it has the native form.
    @inline(__always)
    private func verify(
        _ batch: borrowing VerificationBatch, _ index: Int, at now: UnixSeconds, _ newest: PepperPlace,
        into record: inout CredentialRecord
    ) throws(StoreFailure) -> InactiveReason? {
        let entry = batch.entry(index)
        if entry.isNative {
            let tag = batch.tags.tag(index)
            if let slot = find(tag, entry.checksum, at: newest, entry.place, into: &record) {
                return decide(&record, in: slot, at: now, newest: newest, tag)
            }
        }
        return try verifyInFull(batch, index, at: now, newest, into: &record)
    }

    @inline(never)
    private func verifyInFull(
        _ batch: borrowing VerificationBatch, _ index: Int, at now: UnixSeconds, _ newest: PepperPlace,
        into record: inout CredentialRecord
    ) throws(StoreFailure) -> InactiveReason? {
        try batch.withText(index) { (text) throws(StoreFailure) in
            guard let claimed = ClaimedCredential(text, vendor: vendor) else {
                return try verifyForeign(text, at: now, into: &record)
            }
            return try verifyInFull(
                text, claimed, batch.tags.tag(index), at: newest, batch.entry(index).place, now, into: &record)
        }
    }
}
