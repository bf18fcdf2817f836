import CredentialDigest
import CredentialModel
import RecordCache

/// Credentials to be verified together, which is faster than one by one: while one is hashed, the memory for the next is
/// being loaded, and two are hashed at once.
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
