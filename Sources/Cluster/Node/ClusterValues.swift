public import CredentialStore

/// The times that all nodes of a fleet agree on, in nanoseconds.
public struct ClusterTimes: Sendable, Equatable {
    /// D: how long a node goes on after its last renewal.
    public var lease: UInt64
    /// How far a pause of a virtual machine may hide from its clock.
    public var margin: UInt64
    /// How long a request may take before it is sent again.
    public var retry: UInt64
    /// After this time on one clock, a lease of D on another one is over: each clock differs by one percent at most.
    public var fence: UInt64
    /// For how long a record must not have changed before it is removed.
    public var removal: UInt64
    /// How often the records are read while somebody waits for what they say.
    public var poll: UInt64

    public init(
        lease: UInt64, margin: UInt64 = 50_000_000, retry: UInt64 = 1_000_000_000, poll: UInt64 = 20_000_000
    ) {
        self.lease = lease
        self.margin = margin
        self.retry = retry
        self.poll = poll
        // 1.01 ÷ 0.99 is less than 1 + 1 ÷ 49.
        fence = lease + lease / 49 + margin
        removal = fence + 1_000_000_000
    }

    /// The longest lease that a node may give itself: a day.
    public static let longestLease: UInt64 = 86_400_000_000_000

    /// How long an answer may wait until the node has what others have acknowledged.
    let barrier: UInt64 = 500_000_000

    /// How far apart a node's confirmations are at least: all nodes of the fleet may confirm at once.
    func pace(ofNodes count: Int) -> UInt64 { max(2_000_000, UInt64(count) * 400_000) }

    var renewal: UInt64 { min(lease / 4, 2_500_000_000) }
}

/// Why a node stops for good. It answers nothing from then on.
public enum ClusterStop: Sendable, Equatable, CustomStringConvertible {
    /// The log no longer has the next entry: the store must be copied from another node.
    case behind
    /// The log was begun anew from another state: as above, unless this is that state.
    case otherEpoch
    /// The engine had entries that it has no longer, or has others in their place.
    case engineLostHistory
    /// What became of an append cannot be found out.
    case unknownOutcome
    /// The log is written in a format that this version does not know.
    case formatTooNew
    /// The store cannot take an entry.
    case cannotApply(StoreFailure)

    public var description: String {
        switch self {
        case .behind:
            "the log no longer has the entries that follow on this store: empty the store's folder and start again, which copies another node"
        case .otherEpoch:
            "the log was begun anew from the store of another node: empty the store's folder and start again, which copies another node"
        case .engineLostHistory:
            "etcd has lost entries that it had, or has others in their place: it was put back to an older state or is damaged. Look at `countersign cluster status` on each node before anything else"
        case .unknownOutcome:
            "a change was sent and it cannot be found out whether it was made, because the log was trimmed meanwhile: empty the store's folder and start again, which copies another node"
        case .formatTooNew: "the log is written by a newer version: upgrade this node"
        case .cannotApply(let failure): "an entry of the log cannot be applied: \(failure)"
        }
    }
}

/// What is asked of the writer of a node.
public enum ClusterOutcome: Sendable, Equatable {
    /// The append was done: commit.
    case won
    /// Nothing was appended since the state of the decision.
    case proven
    /// Another entry came first: give up the transaction, apply what comes, and decide again.
    case lost
    /// As `lost`; but the log is sealed, so nothing is appended any more.
    case sealed
}

/// How far an acknowledgement reaches.
public struct Acknowledgement: Sendable, Equatable {
    /// Nodes that have the change, or whose lease is over.
    public var isEverywhere: Bool
    /// Nodes that may still answer without it, because their clocks cannot be trusted.
    public var unconfirmed: Set<UInt64>

    public init(isEverywhere: Bool, unconfirmed: Set<UInt64>) {
        self.isEverywhere = isEverywhere
        self.unconfirmed = unconfirmed
    }
}

/// A transaction under way that shows what was acknowledged before it.
struct ReadBarrier: Sendable {
    let tag: UInt64
    /// What the node had when it was sent.
    let asked: LogPosition
    /// After this time it has failed.
    let end: UInt64
    /// The number of the entry that the store must have; nil before the reply.
    var needs: UInt64?
}
