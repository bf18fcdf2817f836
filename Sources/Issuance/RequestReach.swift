public import CredentialStore
import Synchronization

/// How far the changes of one request must get in a fleet, and how far they got.
///
/// A request can make several changes. One that is done but not known everywhere does not stop the others.
public final class RequestReach: Sendable {
    /// Nil: as the change itself wants it.
    public let wanted: Reach?
    private let state = Mutex<State>(State())

    private struct State {
        /// Whether every change has waited for all nodes.
        var isEverywhere = true
        var isUnconfirmed = false
        var nodes: Set<String> = []
    }

    public init(wanted: Reach? = nil) { self.wanted = wanted }

    /// The names of nodes that have not confirmed a change, or none if they are not known; nil if all have.
    public var unconfirmed: [String]? { state.withLock { $0.isUnconfirmed ? $0.nodes.sorted() : nil } }

    /// Whether every change of the request was known everywhere when it returned. What only creates is not waited for.
    public var isEverywhere: Bool { state.withLock { $0.isEverywhere && !$0.isUnconfirmed } }

    /// Notes a change. What creates and also takes something away may have got further than this says.
    func note(creates: Bool) {
        let isEverywhere = wanted.map { $0 == .everywhere } ?? !creates
        if !isEverywhere { state.withLock { $0.isEverywhere = false } }
    }

    func note(_ failure: SharedLogFailure) {
        guard case .unconfirmed(let nodes) = failure else { return }
        state.withLock { state in
            state.isUnconfirmed = true
            state.nodes.formUnion(nodes)
        }
    }
}
