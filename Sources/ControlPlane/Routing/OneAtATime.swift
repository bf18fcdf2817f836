import AdministrationAPI
import Synchronization

/// Lets one request do a long piece of work and refuses all others until it is done.
///
/// Such work takes a thread, memory or disk for minutes. Several at once help nobody and could take what revocations need. A
/// second request is refused and does not wait: the first may take an hour, and a client that waits cannot tell that from a
/// service that hangs.
final class OneAtATime: Sendable {
    private let isTaken = Atomic<Bool>(false)
    /// Completes the sentence "… is under way already".
    private let work: String

    init(_ work: String) {
        self.work = work
    }

    /// - Throws: ``Problem``: 503 `busy` with `Retry-After`, while somebody else has the place.
    func enter() throws(Problem) -> Place {
        // Acquire: what the holder before has done is over. Pairs with the release in `Place.leave`.
        guard isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else {
            throw Problem(.busy, detail: "\(work) is under way already, and one is done at a time. Try again later.")
        }
        return Place(self)
    }

    /// The right to go on. It ends with `leave`, or when nothing refers to it any more: an answer that is never written,
    /// because its client has gone, must not keep it.
    final class Place: Sendable {
        private let owner: OneAtATime
        private let hasLeft = Atomic<Bool>(false)

        fileprivate init(_ owner: OneAtATime) {
            self.owner = owner
        }

        deinit { leave() }

        /// Lets the next one in. To be called before the end of an answer is written: its client may ask again at once.
        func leave() {
            guard !hasLeft.exchange(true, ordering: .relaxed) else { return }
            owner.isTaken.store(false, ordering: .releasing)
        }
    }
}

/// The places for long work, shared by all listeners.
struct LongWork: Sendable {
    let bulkCreation = OneAtATime("A bulk creation")
    let backup = OneAtATime("A backup")
    let revocationList = OneAtATime("A list of revocations")
    let storeCheck = OneAtATime("A check of the store")
    let auditCheck = OneAtATime("A check of the audit log")
}
