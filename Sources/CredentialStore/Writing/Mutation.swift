import LMDB

/// One mutation that waits for the writer thread.
struct Mutation: Sendable {
    /// Whether it makes the store larger and so is refused when the map is full: issuing, re-tagging, last use.
    let creates: Bool
    /// When it was submitted; nil if no caller waits for it.
    let since: ContinuousClock.Instant?
    /// Does the work. May run more than once, if its transaction had to be aborted.
    let apply: @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Void
    /// Acknowledges, or reports the failure. Called exactly once.
    let finish: @Sendable ((any Error)?) -> Void
}
