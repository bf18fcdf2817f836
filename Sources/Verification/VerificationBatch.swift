import CredentialDigest
import CredentialModel
import RecordCache

/// Some credentials that are verified together, which takes less than one after another: while one is hashed, the memory
/// that the next need is on its way, and two are hashed at once.
///
/// Keep one per thread and use it again; it allocates nothing after it was made.
///
/// ```swift
/// var batch = verifier.makeBatch()
/// batch.append(presented.span.bytes)
/// try verifier.verify(&batch, at: now) { index, reason, record in … }
/// ```
public struct VerificationBatch: ~Copyable {
    /// Credentials that fit.
    public static var capacity: Int { TagBatch.capacity }

    /// Credentials that are in it.
    public private(set) var count = 0

    /// What was read of a text.
    struct Entry {
        var checksum: UInt64 = 0
        var place = RecordPlace.nowhere
        /// Bytes kept of it.
        var byteCount: Int32 = 0
        /// Whether it has the form of our own credentials; if not, checksum and place say nothing.
        var isNative = false
    }

    private let vendor: Vendor
    private let cache: RecordCache
    // An array and not an InlineArray, of which a read of one element copies all.
    private var entries = [Entry](repeating: Entry(), count: capacity)
    var tags = TagBatch()

    init(vendor: Vendor, cache: RecordCache) {
        self.vendor = vendor
        self.cache = cache
    }

    /// Takes a copy of a presented credential, of any length and content, and lets the memory begin to look for its record.
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

    /// Forgets all of them.
    public mutating func removeAll() {
        count = 0
    }

    /// The text of one, or the beginning of a text that is too long for any credential.
    func withText<Value, Failure: Error>(
        _ index: Int, _ use: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let entry = entries[index]
        return try tags.withText(index, count: entry.isNative ? CredentialFormat.byteCount : Int(entry.byteCount), use)
    }

    @inline(__always)
    func entry(_ index: Int) -> Entry { entries[index] }
}
