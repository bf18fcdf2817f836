import Synchronization

/// The state behind ``Readiness``. A failed service stays failed.
final class AtomicState: Sendable {
    private let raw = Atomic<UInt8>(Readiness.State.starting.rawValue)

    func load() -> Readiness.State {
        Readiness.State(rawValue: raw.load(ordering: .acquiring)) ?? .failed
    }

    func store(_ state: Readiness.State) {
        var seen = raw.load(ordering: .acquiring)
        while seen != Readiness.State.failed.rawValue {
            let (exchanged, original) = raw.compareExchange(
                expected: seen, desired: state.rawValue, ordering: .acquiringAndReleasing)
            if exchanged { return }
            seen = original
        }
    }
}
