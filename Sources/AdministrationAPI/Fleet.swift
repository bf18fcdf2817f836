/// Answer to `GET /v1/cluster`: the fleet as etcd shows it. Nodes tell it something every few seconds.
public struct FleetResource: Codable, Equatable, Sendable {
    public struct Node: Codable, Equatable, Sendable {
        public let name: String
        public let region: String
        public let version: String
        /// The number of the last entry that it has.
        public let entry: UInt64
        /// Entries that the log has and it has not.
        public let behind: UInt64
        /// How long it may answer without etcd.
        public let leaseSeconds: UInt64
        /// Its clock may stand still while its machine is paused.
        public let mayPause: Bool
        /// Of this start of the node.
        public let id: String
        /// Where other nodes reach it; nil: nowhere.
        public let address: String?
        /// The newest level of the log that it can apply; nil while it has not said so.
        public let newestLevel: UInt32?

        public init(
            name: String, region: String, version: String, entry: UInt64, behind: UInt64, leaseSeconds: UInt64,
            mayPause: Bool, id: String, address: String?, newestLevel: UInt32?
        ) {
            (self.name, self.region, self.version) = (name, region, version)
            (self.entry, self.behind, self.leaseSeconds) = (entry, behind, leaseSeconds)
            (self.mayPause, self.id, self.address, self.newestLevel) = (mayPause, id, address, newestLevel)
        }

        enum CodingKeys: String, CodingKey {
            case name, region, version, entry, behind, id, address
            case leaseSeconds = "lease_seconds"
            case mayPause = "may_pause"
            case newestLevel = "newest_level"
        }
    }

    /// A member of etcd.
    public struct Member: Codable, Equatable, Sendable {
        public let endpoint: String
        public let state: String

        public init(endpoint: String, state: String) {
            (self.endpoint, self.state) = (endpoint, state)
        }
    }

    public let fleet: String
    /// The number of the log's last entry.
    public let entry: UInt64
    /// The format in which the log is written; nil while no node says so.
    public let level: UInt32?
    /// Nothing is appended: the log is about to begin anew.
    public let isClosed: Bool
    public let nodes: [Node]
    public let etcd: [Member]

    public init(fleet: String, entry: UInt64, level: UInt32?, isClosed: Bool, nodes: [Node], etcd: [Member]) {
        (self.fleet, self.entry, self.level, self.isClosed) = (fleet, entry, level, isClosed)
        (self.nodes, self.etcd) = (nodes, etcd)
    }

    enum CodingKeys: String, CodingKey {
        case fleet, entry, level, nodes, etcd
        case isClosed = "closed"
    }
}

/// Body of `POST /v1/cluster/level`: the format in which the fleet is to write its log.
public struct FleetLevelRequest: StrictRequest {
    public private(set) var level: UInt32 = 0

    public init() {}

    public init(level: UInt32) { self.level = level }

    public mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure) {
        try visitor.required("level", &level)
    }
}

/// Answer to `POST /v1/cluster/level`: the format in which the fleet writes its log now.
public struct FleetLevel: Codable, Equatable, Sendable {
    public let level: UInt32

    public init(level: UInt32) { self.level = level }
}

/// Answer to `POST /v1/cluster/comparisons`: whether all nodes have the same rows at one entry of the log.
public struct FleetComparison: Codable, Equatable, Sendable {
    public struct Node: Codable, Equatable, Sendable {
        public let name: String
        public let id: String
        /// Whether its store is equal to that of the node that answers; nil when it has not said what it contains.
        public let isEqual: Bool?
        /// Tables whose rows differ.
        public let differing: [String]

        public init(name: String, id: String, isEqual: Bool?, differing: [String]) {
            (self.name, self.id, self.isEqual, self.differing) = (name, id, isEqual, differing)
        }

        enum CodingKeys: String, CodingKey {
            case name, id, differing
            case isEqual = "equal"
        }
    }

    /// The entry at which the stores were compared.
    public let entry: UInt64
    /// All rows of all compared tables.
    public let rows: UInt64
    /// Whether all nodes have answered and are equal.
    public let isEqual: Bool
    public let nodes: [Node]

    public init(entry: UInt64, rows: UInt64, nodes: [Node]) {
        (self.entry, self.rows, self.nodes) = (entry, rows, nodes)
        isEqual = nodes.allSatisfy { $0.isEqual == true }
    }

    enum CodingKeys: String, CodingKey {
        case entry, rows, nodes
        case isEqual = "equal"
    }
}
