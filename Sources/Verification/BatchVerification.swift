import CredentialDigest
public import CredentialModel
public import CredentialStore
import RecordCache

extension Verifier {
    /// Makes a reusable batch of credentials to be verified together.
    public func makeBatch() -> VerificationBatch { VerificationBatch(vendor: vendor, cache: cache) }

    /// The same for several credentials, see ``VerificationBatch``. The batch is not modified.
    ///
    /// - Parameter each: called for each credential in order, with its index, the reason why it is inactive or nil, and its
    ///   record, valid until `each` returns. The record is meaningless if the credential is unknown or malformed.
    /// - Throws: ``StoreFailure`` when the store cannot answer for one of them; then `each` is not called again.
    public func verify(
        _ batch: inout VerificationBatch, at now: UnixSeconds,
        _ each: (_ index: Int, _ reason: InactiveReason?, _ record: inout CredentialRecord) -> Void
    ) throws(StoreFailure) {
        if let followed { try followed.follow(at: now) }
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
