import Synchronization

/// Remembers which request an `Idempotency-Key` belongs to and what that request made.
///
/// A caller whose connection broke does not know whether a key was made. It repeats the request with the same
/// Idempotency-Key and gets the same ids; the secret is not stored, so it gets null there and revokes or rotates.
///
/// The place is taken before the work begins, in one step with the look-up: of two equal requests at the same time one
/// works and the other is told to come again. In memory and bounded: a restart forgets, and so does the arrival of the
/// 10,001st key, which pushes out the oldest.
final class IdempotencyTable: Sendable {
    /// What a key is known for.
    enum Claim: Equatable {
        /// Not known: the place is taken under this number, and `settle` or `abandon` must follow.
        case fresh(UInt64)
        /// Known, and this is what was made.
        case made([String])
        /// The first request is still at work.
        case inProgress
        /// It belongs to a request that was not the same.
        case otherRequest
    }

    private struct Entry {
        let fingerprint: [UInt8]
        /// Which claim made the entry: a request that was pushed out must not settle a newer one's place.
        let number: UInt64
        let since: ContinuousClock.Instant
        var handles: [String]?
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// The keys of `entries`, oldest first.
        var order: ArraySlice<String> = []
        var nextNumber: UInt64 = 0
    }

    private let state = Mutex(State())
    private let countMax: Int
    private let keep: Duration
    private let now: @Sendable () -> ContinuousClock.Instant

    init(
        countMax: Int = ControlPlaneLimits.idempotencyKeysMax,
        keep: Duration = .seconds(ControlPlaneLimits.idempotencyKeepSeconds),
        now: @escaping @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }
    ) {
        self.countMax = countMax
        self.keep = keep
        self.now = now
    }

    /// Looks a key up and takes its place when it is free.
    func claim(_ key: String, fingerprint: [UInt8]) -> Claim {
        let time = now()
        return state.withLock { state in
            Self.forget(&state, before: time - keep, downTo: countMax)
            if let entry = state.entries[key] {
                guard entry.fingerprint == fingerprint else { return .otherRequest }
                return entry.handles.map { .made($0) } ?? .inProgress
            }
            Self.forget(&state, before: time - keep, downTo: countMax - 1)
            let number = state.nextNumber
            state.nextNumber += 1
            state.entries[key] = Entry(fingerprint: fingerprint, number: number, since: time)
            state.order.append(key)
            return .fresh(number)
        }
    }

    /// Keeps what the request made that claimed the place.
    func settle(_ key: String, _ number: UInt64, handles: [String]) {
        state.withLock { state in
            if state.entries[key]?.number == number { state.entries[key]?.handles = handles }
        }
    }

    /// Frees the place of a request that failed: it may be tried again.
    func abandon(_ key: String, _ number: UInt64) {
        state.withLock { state in
            guard state.entries[key]?.number == number else { return }
            state.entries[key] = nil
            // It came a moment ago and stands near the end.
            if let place = state.order.lastIndex(of: key) { state.order.remove(at: place) }
        }
    }

    /// How many keys are remembered now.
    var count: Int { state.withLock { $0.entries.count } }

    private static func forget(_ state: inout State, before limit: ContinuousClock.Instant, downTo countMax: Int) {
        while let oldest = state.order.first, let since = state.entries[oldest]?.since,
            since < limit || state.order.count > countMax
        {
            state.entries[oldest] = nil
            state.order.removeFirst()
        }
        // A slice keeps the places in front of it: copied when they are the greater part.
        if state.order.startIndex > state.order.count { state.order = ArraySlice(Array(state.order)) }
    }
}
