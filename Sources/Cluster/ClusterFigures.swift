/// What a node has done, for metrics.
public struct ClusterFigures: Sendable {
    /// The number of the last entry that the store has.
    public var applied: UInt64 = 0
    /// The highest number that the node has heard of.
    public var known: UInt64 = 0
    /// Until the node may answer no more; 0 if it is over.
    public var leaseSeconds = 0.0
    /// Nodes with a record, this one included.
    public var nodes = 0
    public var appendsWon: UInt64 = 0
    public var appendsLost: UInt64 = 0
    public var proofs: UInt64 = 0
    public var renewals: UInt64 = 0
    /// Entries of other nodes whose clocks are more than a minute ahead of this one's.
    public var clocksAhead: UInt64 = 0
    /// Times at which the log was asked whether a credential is really unknown, and those without an answer in time.
    public var barriers: UInt64 = 0
    public var barriersFailed: UInt64 = 0
    /// Requests to which the engine did not reply.
    public var unanswered: UInt64 = 0
    /// Questions that were not answered because the lease was over.
    public var refusals: UInt64 = 0
    public var hasStopped = false

    mutating func count(_ outcome: ClusterOutcome) {
        switch outcome {
        case .won: appendsWon += 1
        case .proven: proofs += 1
        case .lost, .sealed: appendsLost += 1
        }
    }
}
