import LMDB

/// One mutation that waits for the writer thread.
struct Mutation: Sendable {
    /// Whether it makes the store larger and so is refused when the map is full: issuing, re-tagging, last use.
    let creates: Bool
    /// How far it must have got when it is acknowledged; nil: see ``Reach``.
    let reach: Reach?
    /// When it was submitted; nil if no caller waits for it.
    let since: ContinuousClock.Instant?
    /// Does the work. May run more than once, if its transaction had to be aborted.
    let apply: @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Void
    /// Acknowledges, or reports the failure. Called exactly once.
    let finish: @Sendable ((any Error)?) -> Void
    /// It has failed in this state of a fleet, which is not proven to be the newest yet.
    var failure: (any Error)?

    init(
        creates: Bool, reach: Reach? = nil, since: ContinuousClock.Instant?,
        apply: @escaping @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Void,
        finish: @escaping @Sendable ((any Error)?) -> Void
    ) {
        self.creates = creates
        self.reach = reach
        self.since = since
        self.apply = apply
        self.finish = finish
    }

    /// - Parameter ends: whether it has changed something so that an earlier answer may be wrong.
    func mustReachEverywhere(ends: Bool) -> Bool {
        if let reach { return reach == .everywhere }
        // Nobody waits for what runs in the background.
        return since != nil && (ends || !creates)
    }

    /// The same for somebody who has been told already.
    var withoutFinish: Mutation { Mutation(creates: creates, since: since, apply: apply, finish: { _ in }) }
}
