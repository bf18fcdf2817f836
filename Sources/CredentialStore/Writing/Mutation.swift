import LMDB

/// One mutation that waits for the writer thread.
struct Mutation: Sendable {
    /// Whether it makes the store larger and so gives way when the map is full: issuing, re-tagging, last use.
    let creates: Bool
    /// When it was submitted; nil for what nobody waits for.
    let since: ContinuousClock.Instant?
    /// Does the work. May run more than once, if the transaction it was part of had to be aborted.
    let apply: @Sendable (StoreWriter, borrowing WriteTransaction) throws -> Void
    /// Acknowledges, or tells the failure. Called exactly once.
    let finish: @Sendable ((any Error)?) -> Void
}
