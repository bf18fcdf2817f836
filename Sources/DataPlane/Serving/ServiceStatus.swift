import Synchronization

/// Whether the service accepts traffic, as `/readyz` reports it.
public final class ServiceStatus: Sendable {
    /// Only ``ready`` takes traffic; the others are the reasons why not.
    public enum State: UInt8, Sendable {
        case starting, ready, draining, failed

        /// Why the service is not ready, for people; nil for ``ready``.
        public var unreadyReason: StaticString? {
            switch self {
            case .ready: nil
            case .starting: "the service is starting"
            case .draining: "the service is shutting down"
            case .failed: "the store has failed and the process is ending"
            }
        }
    }

    private let state = Atomic<UInt8>(State.starting.rawValue)

    public init() {}

    public var current: State {
        // Acquire: whoever reads a state sees what was done before it was set.
        State(rawValue: state.load(ordering: .acquiring)) ?? .failed
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
