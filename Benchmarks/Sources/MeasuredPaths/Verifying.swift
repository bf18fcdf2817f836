import CredentialModel
import CredentialStore
import Verification

extension MeasuredPath {
    /// Verifies texts in turn and counts the verdicts that are as expected.
    static func verifying(
        _ name: String, _ texts: PresentedTexts, in store: CredentialStore, as expected: InactiveReason?
    ) throws -> MeasuredPath {
        let verifier = try Verifier(store: store)
        return MeasuredPath(name) { first, count in
            let now = store.clock.now()
            var record = CredentialRecord.blank
            var index = first % texts.count
            var met = 0
            for _ in 0..<count {
                let offset = index &* texts.stride
                let text = texts.bytes.octets.extracting(offset..<offset &+ texts.stride)
                if try verifier.verify(text, at: now, into: &record) == expected { met &+= 1 }
                index = index &+ 1 == texts.count ? 0 : index &+ 1
            }
            return met
        }
    }

    /// The same in batches as large as there can be.
    static func verifyingBatches(
        _ name: String, _ texts: PresentedTexts, in store: CredentialStore
    ) throws -> MeasuredPath {
        let verifier = try Verifier(store: store)
        return MeasuredPath(name) { first, count in
            let now = store.clock.now()
            var batch = verifier.makeBatch()
            var index = first % texts.count
            var met = 0
            var left = count
            while left > 0 {
                batch.removeAll()
                while left > 0 {
                    let offset = index &* texts.stride
                    guard batch.append(texts.bytes.octets.extracting(offset..<offset &+ texts.stride)) else { break }
                    index = index &+ 1 == texts.count ? 0 : index &+ 1
                    left &-= 1
                }
                try verifier.verify(&batch, at: now) { _, reason, _ in if reason == nil { met &+= 1 } }
            }
            return met
        }
    }

    /// What no verification can do without, by libcrypto's own calls: the HMAC of a block from saved states.
    public static func hmac() throws -> MeasuredPath {
        let bare = try BareHMAC()
        return MeasuredPath("bare HMAC") { _, count in
            var met = 0
            for _ in 0..<count where bare.isExpected() { met &+= 1 }
            return met
        }
    }
}
