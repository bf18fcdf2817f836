public import CredentialStore

// What the nodes of a fleet ask of the engine that they share (etcd). The engine executes transactions one by one, in
// one order for all nodes (Raft). Requests and replies may be delayed, lost or repeated, and a request may be executed
// although its reply was lost. Plain reads may be out of date, so nothing is proven by them.

/// An entry of the log, as the protocol sees it.
public protocol ClusterEntry: Sendable {
    /// The position of a store that has this entry and all before it.
    var position: LogPosition { get }
    /// The hash of the entry before it.
    var previousHash: [UInt8] { get }
    /// Random: tells an entry from another one for the same place.
    var batch: UInt64 { get }
    /// Whether its author waits for all nodes to have it.
    var wantsConfirmation: Bool { get }
}

extension LogEntry: ClusterEntry {}

/// What a node has told the others of itself.
public struct NodeRecord: Sendable, Equatable {
    /// One start of a process.
    public var node: UInt64
    /// For people.
    public var name: String
    /// What its store and all its readers have.
    public var applied: LogPosition
    /// The longest lease that it gives itself, in nanoseconds.
    public var leaseNanoseconds: UInt64
    /// Its clock may stand still while it is paused, so its lease proves nothing when time has passed.
    public var isPausable: Bool
    /// What its wall clock showed when it wrote this, in seconds since 1970-01-01; 0 if it is not known.
    public var time: Int64 = 0

    /// Whether its lease is over when enough time has passed. A lease that no node may have proves nothing, and its
    /// number is not calculated with.
    var endsWithTime: Bool { !isPausable && leaseNanoseconds <= ClusterTimes.longestLease }

    public init(
        node: UInt64, name: String = "", applied: LogPosition, leaseNanoseconds: UInt64, isPausable: Bool = false
    ) {
        self.node = node
        self.name = name
        self.applied = applied
        self.leaseNanoseconds = leaseNanoseconds
        self.isPausable = isPausable
    }
}

/// A record as the engine has it.
public struct StoredRecord: Sendable, Equatable {
    public var record: NodeRecord
    /// Rises with each change of the engine's data.
    public var revision: UInt64

    public init(record: NodeRecord, revision: UInt64) {
        self.record = record
        self.revision = revision
    }
}

/// All records, as of a revision.
public struct RecordList: Sendable, Equatable {
    public var records: [UInt64: StoredRecord]
    public var revision: UInt64

    public init(records: [UInt64: StoredRecord] = [:], revision: UInt64 = 0) {
        self.records = records
        self.revision = revision
    }
}

/// The key on which all appends compare.
public struct LogHead: Sendable, Equatable {
    public var position: LogPosition
    /// Nothing more is appended: the fleet moves, or goes on with another log after damage.
    public var isSealed: Bool

    public init(position: LogPosition, isSealed: Bool = false) {
        self.position = position
        self.isSealed = isSealed
    }
}

/// One transaction, or a read.
public enum EngineRequest<Entry: ClusterEntry>: Sendable {
    /// If `head` is open and at this position: puts the entry and the new `head`, and reads all records. Otherwise reads
    /// `head` and the entries after the position.
    case append(Entry, expecting: LogPosition)
    /// The same comparison without an append: deletes nothing, which goes through Raft all the same.
    case prove(LogPosition)
    /// Puts the node's record and reads `head`.
    case renew(NodeRecord)
    /// Removes a record, if it was not changed since that revision.
    case removeRecord(UInt64, revision: UInt64)
    /// Entries after a position. May be out of date.
    case entries(after: LogPosition)
    /// All records. May be out of date.
    case records
}

public enum EngineReply<Entry: ClusterEntry>: Sendable {
    /// The comparison held: of an append, that it was done.
    case held(RecordList)
    /// The comparison did not hold.
    case moved(LogHead, EntryPage<Entry>)
    case renewed(LogHead)
    case entries(LogHead, EntryPage<Entry>)
    case records(RecordList)
}

/// Some entries in order.
public struct EntryPage<Entry: ClusterEntry>: Sendable {
    /// The oldest number that the log still has; the entries before it were removed.
    public var first: UInt64
    public var entries: [Entry]

    public init(first: UInt64, entries: [Entry]) {
        self.first = first
        self.entries = entries
    }
}
