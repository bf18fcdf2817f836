import CredentialModel
import Synchronization

/// What may be used once, until it could not be used anyway. Forgotten when the process ends: what this guards lasts minutes
/// and is bound to a browser besides.
final class UsedOnce: Sendable {
    private static let countMax = 100_000
    private let ends = Mutex<[String: UnixSeconds]>([:])

    /// False when it was used before, and when more is remembered than can be.
    func use(_ name: String, until end: UnixSeconds, now: UnixSeconds) -> Bool {
        ends.withLock { ends in
            if ends.count >= Self.countMax { ends = ends.filter { $0.value >= now } }
            guard ends.count < Self.countMax, ends[name] == nil else { return false }
            ends[name] = end
            return true
        }
    }
}
