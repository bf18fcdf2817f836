import CredentialModel
import CredentialStore
import RecordCache
import Verification

extension MeasuredStore {
    /// The share of the cached records of a hot set that are still cached after `count` ids that do not exist.
    public func hotShare(afterUnknown count: Int) throws -> Double {
        _ = try hit()
        let before = cachedShare()
        let verifier = try Verifier(store: warm)
        var record = CredentialRecord.blank
        for number in 0..<count {
            let text = CredentialFormat.mint(kind: .apiKey, id: .random(), vendor: .iiniit).revealBytes()
            guard try verifier.verify(text.octets, at: warm.clock.now(), into: &record) == .unknown else {
                throw MeasuringFault("random id \(number) is known")
            }
        }
        return cachedShare() / before
    }

    private func cachedShare() -> Double {
        var record = CredentialRecord.blank
        let cached = ids.count {
            warm.published.cache.lookUp(CredentialID(rawValue: $0), into: &record, touch: false) != nil
        }
        return Double(cached) / Double(ids.count)
    }
}
