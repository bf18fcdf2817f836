import CredentialStore
import NIOCore
import Verification

// On a node of a fleet, a credential of which the node has never heard may have been made elsewhere a moment ago. So a
// request with such a credential is not answered at once: the node first gets what other nodes have acknowledged
// (``CredentialStore/catchUp(_:)``), and then the whole request is answered again. Its bytes are kept meanwhile, and what
// the first attempt has written is taken back. If the node cannot find out in time, or too many requests wait, the answer
// is that of a store which is unavailable: "inactive" would be a guess.

/// The requests of one event loop that wait until this node has what others have acknowledged. Only the loop's thread uses
/// it.
final class FleetQuestions {
    /// What is known when a request is answered.
    enum Hearing {
        /// Nobody was asked yet.
        case notAsked
        /// The node has everything that was acknowledged before the request arrived.
        case heard
        case failed
    }

    private let store: CredentialStore
    private let verifier: Verifier
    private var hearing = Hearing.notAsked
    private var unheardOfBefore: UInt64 = 0
    private var waiting = 0

    /// Most requests of an event loop that wait. Anybody can invent credentials.
    private static let waitingMax = 256

    /// - Returns: nil for a store of its own, which has everything.
    init?(_ store: CredentialStore, _ verifier: Verifier) {
        guard store.fleet != nil else { return nil }
        (self.store, self.verifier) = (store, verifier)
    }

    /// An attempt to answer a request begins.
    func begin(_ hearing: Hearing) {
        self.hearing = hearing
        unheardOfBefore = verifier.unheardOf
        verifier.refusesUnheardOf = hearing != .heard
    }

    /// Whether this attempt does not count: the request has to wait.
    var mustAsk: Bool { hearing == .notAsked && verifier.unheardOf != unheardOfBefore && waiting < Self.waitingMax }

    /// - Parameter answer: called on the event loop when the node is up to date, or cannot tell.
    func ask(on eventLoop: any EventLoop, _ answer: @escaping (Hearing) -> Void) {
        waiting += 1
        let bound = NIOLoopBound((self, answer), eventLoop: eventLoop)
        store.catchUp { isCurrent in
            eventLoop.execute {
                let (questions, answer) = bound.value
                questions.waiting -= 1
                answer(isCurrent ? .heard : .failed)
            }
        }
    }
}

extension LoopState {
    /// Counts a verification that could not be made, unless it will be tried again.
    func noteUnavailable(_ interface: VerificationInterface) {
        if questions?.mustAsk == true { return }
        note(interface, .unavailable)
    }
}
