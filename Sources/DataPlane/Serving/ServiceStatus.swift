public import CredentialStore
import Synchronization

/// Whether the service accepts traffic, as `/readyz` reports it.
public final class ServiceStatus: Sendable {
    /// Only ``ready`` takes traffic; the others are the reasons why not.
    public enum State: UInt8, Sendable {
        case starting, ready, draining, failed
        /// It cannot know whether something was revoked on another node of its fleet.
        case notFresh

        /// Why the service is not ready, for people; nil for ``ready``.
        public var unreadyReason: StaticString? {
            switch self {
            case .ready: nil
            case .starting: "the service is starting"
            case .draining: "the service is shutting down"
            case .failed: "the store has failed and the process is ending"
            case .notFresh: "this node has not proven lately that it has everything that other nodes have"
            }
        }
    }

    private let state = Atomic<UInt8>(State.starting.rawValue)

    private let freshness: Freshness?

    /// - Parameter freshness: of a store of a fleet; the service is not ready while its lease is over.
    public init(freshness: Freshness? = nil) { self.freshness = freshness }

    public var current: State {
        // Acquire: whoever reads a state sees what was done before it was set.
        let current = State(rawValue: state.load(ordering: .acquiring)) ?? .failed
        if current == .ready, let freshness, freshness.isOver() { return .notFresh }
        return current
    }

    /// Sets the state. A failed service stays failed.
    public func become(_ new: State) {
        var seen = state.load(ordering: .acquiring)
        while seen != State.failed.rawValue {
            // Release: pairs with the acquire in `current`.
            let (exchanged, original) = state.compareExchange(
                expected: seen, desired: new.rawValue, ordering: .acquiringAndReleasing)
            if exchanged { return }
            seen = original
        }
    }
}
