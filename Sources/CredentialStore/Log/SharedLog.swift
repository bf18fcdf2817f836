// Several nodes, each with a store of its own, share one log. Each node appends its transactions, and applies those of the
// others. What all of them have applied up to one position is equal, row by row.
//
// A transaction is decided in the state at the node's position, and counts only if nothing was appended since. So the
// order is: operations, append by comparison, commit, what readers must learn, acknowledgement. If another node was
// first, the transaction is given up, that node's entries are applied, and the same mutations are decided again.
//
// Nothing is answered from an old state either: a batch that changes nothing, refusals included, is proven by the same
// comparison without an append. Otherwise a revocation here of a key that was made on another node a moment ago would
// find no row and say so.

/// The log that the stores of several nodes share, as the writer of one store sees it.
///
/// All functions but ``catchUp(_:)`` are called on the writer's thread.
public protocol SharedLog: Sendable {
    /// Entries of other nodes that follow on what the store has, in order; empty while there are none. Does not wait.
    func arrived() -> [LogEntry]
    /// Appends an entry that was decided at the store's position, and waits for the outcome.
    func append(_ entry: LogEntry) -> SharedLogOutcome
    /// Waits for a proof that nothing was appended behind the store's position.
    func prove() -> SharedLogOutcome
    /// Waits again, after ``SharedLogOutcome/undecided``.
    func outcome() -> SharedLogOutcome
    /// The store and all its readers have everything up to a position.
    /// - Parameters:
    ///   - wantsConfirmation: whether an entry since the last call takes something away.
    ///   - isOwn: whether that was appended here.
    func applied(_ position: LogPosition, wantsConfirmation: Bool, isOwn: Bool)
    /// Waits until every node has all of what the store has that takes something away, or cannot answer without it.
    /// - Parameter completion: called on any thread, once; with a reason if that is not certain.
    /// - Returns: false if the last outcome was found out in a way that says nothing about other nodes: then ``prove()``,
    ///   and again. The completion is not called.
    func confirm(_ completion: @escaping @Sendable (SharedLogFailure?) -> Void) -> Bool
    /// What the clocks of other nodes show now, in seconds since 1970-01-01: that which is furthest ahead, as far as they
    /// have said it. Nil: they have not.
    func clockOfOthers() -> Int64?
    /// An entry of another node has a time that is more than a minute ahead of this node's clock.
    func foundClockAhead()
    /// Makes sure that the store and all its readers have everything that was acknowledged on any node before this call.
    /// Called on any thread.
    /// - Parameter completion: called on any thread, once; false if that could not be found out in time.
    func catchUp(_ completion: @escaping @Sendable (Bool) -> Void)
    /// The store at a position, for a comparison with other nodes; nil if it could not be hashed. Called on any thread.
    func compared(_ comparison: UInt64, at position: LogPosition, _ digest: StoreDigest?)
    /// The store cannot take an entry of the log, so this node must not answer any more.
    func cannotApply(_ failure: StoreFailure)
}

/// What became of an append or a proof.
public enum SharedLogOutcome: Sendable, Equatable {
    /// The entry is in the log; or it is proven that nothing was appended.
    case held
    /// Another entry was first.
    case lost
    /// It was not done, and will not be.
    case refused(SharedLogFailure)
    /// It is not known yet, and may be done at any time: it must be waited for.
    case undecided
}

/// How far a change must have got when it is acknowledged.
///
/// Unless the caller says otherwise: everywhere, if it takes something away, or finds that there is nothing to take away;
/// and what only adds something, on this node.
public enum Reach: Sendable {
    /// It changes only rows that each store has for itself, such as last uses: no other node is asked.
    case own
    /// It is durable in the log, and every reader of this node has it.
    case node
    /// In addition, no node accepts what it revoked: each has it, or answers nothing until it has.
    case everywhere
}

/// Why a store of a fleet could not do something.
public enum SharedLogFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The log cannot be reached: nothing was done.
    case away
    /// The log could not be reached when the answer was due. It is done, or will be, or not at all.
    case outcomeUnknown
    /// It is done. These nodes have not confirmed it and may answer without it; none: it could not be found out which.
    case unconfirmed(nodes: [String])
    /// The log is closed: the fleet moves to another one.
    case sealed
    /// This node only reads the log.
    case readOnly
    /// Nothing is written with this clock.
    case clockAhead(seconds: Int64)
    /// This node has never heard of the credential, and has not asked the log whether it lacks something.
    case unheardOf
    /// This node has not proven lately that it has everything, so it answers nothing.
    case notFresh
    /// This node has stopped.
    case stopped(reason: String)
    /// The store belongs to a fleet.
    case belongsToFleet(name: String)
    /// Another process owns the store and knows whether it is up to date.
    case notFollowed(fleet: String)
    /// The store does not belong to a fleet.
    case ofNoFleet
    /// The store does not belong to this fleet.
    case notOfFleet(name: String, other: String?)

    /// Whether the change is done all the same.
    var isAboutReach: Bool {
        if case .unconfirmed = self { true } else { false }
    }

    public var description: String {
        switch self {
        case .away: "the log of the fleet cannot be reached: nothing was changed; try again, or at another node"
        case .outcomeUnknown:
            "the log of the fleet could not be reached in time, and it is not known whether this was done: ask again"
        case .unconfirmed(nodes: []):
            "it is done, but it could not be found out whether every node has it: ask again"
        case .unconfirmed(let nodes):
            "it is done, but these nodes have not confirmed it yet: \(nodes.joined(separator: ", "))"
        case .sealed: "the log of the fleet is closed, because the fleet moves to another one: try again later"
        case .readOnly:
            "this node of the fleet only reads: send what changes something to another node, or set cluster.write-via"
        case .clockAhead(let seconds):
            "the clock of this node is \(seconds) s ahead of the fleet's, so nothing is changed with it: set the clock, or try another node"
        case .unheardOf:
            "this node has never heard of the credential, and could not find out whether another node has: try again"
        case .notFresh:
            "this node of the fleet cannot reach the log, so it does not know whether something was revoked elsewhere: try another node"
        case .stopped(let reason): "this node of the fleet has stopped: \(reason)"
        case .belongsToFleet(let name):
            "the store belongs to the fleet '\(name)', whose log must have every change: start it with --cluster, or detach it from the fleet first"
        case .notFollowed(let fleet):
            "the store belongs to a node of the fleet '\(fleet)', and only that node's daemon knows whether it is up to date: ask the daemon over its Unix socket"
        case .ofNoFleet: "the store does not belong to a fleet: nothing was changed"
        case .notOfFleet(let name, nil):
            "the store does not belong to a fleet, and is to be one of '\(name)': begin the fleet with `countersign cluster init`, or start with an empty folder"
        case .notOfFleet(let name, let other?):
            "the store belongs to the fleet '\(other)', not to '\(name)': check --cluster and --store"
        }
    }
}
