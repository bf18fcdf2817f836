public import Cluster
public import CredentialStore
import Foundation
import SwiftProtobuf

// What is in etcd, for each fleet under a prefix of its own:
//
//     head                    the position of the log, the format of all this, and whether it is open
//     epoch                   the log that it is of: changes only when that is begun anew
//     log/EPOCH/NUMBER        one entry
//     first                   the number of the oldest entry that is kept; missing: 1
//     nodes/NODE              what a node tells the others of itself
//     digests/NODE            the content of its store at one entry, for the last comparison
//     none                    never there: deleting it is a transaction that changes nothing and goes through Raft
//
// Numbers in keys have 16 hexadecimal digits, so keys are in the order of the numbers.

struct EtcdKeys {
    let prefix: String

    init(fleet: String) { prefix = "/countersign/\(fleet)/" }

    var head: Data { key("head") }
    var epoch: Data { key("epoch") }
    var first: Data { key("first") }
    var none: Data { key("none") }

    func entry(_ epoch: UInt64, _ number: UInt64) -> Data { key("log/\(Self.hex(epoch))/\(Self.hex(number))") }

    /// Entries from a number on, as the two ends of a range.
    func entries(_ epoch: UInt64, from number: UInt64) -> (Data, Data) {
        // '0' follows on '/'.
        (entry(epoch, number), key("log/\(Self.hex(epoch))0"))
    }

    /// All entries of all logs.
    var log: (Data, Data) { (key("log/"), key("log0")) }

    func node(_ node: UInt64) -> Data { key("nodes/\(Self.hex(node))") }

    func digest(_ node: UInt64) -> Data { key("digests/\(Self.hex(node))") }

    var digests: (Data, Data) { (key("digests/"), key("digests0")) }

    var nodes: (Data, Data) { (key("nodes/"), key("nodes0")) }

    /// The node whose record is under a key.
    func node(of key: Data) -> UInt64? { number(of: key, behind: nodes.0) }

    /// The node whose digest is under a key.
    func digestedNode(of key: Data) -> UInt64? { number(of: key, behind: digests.0) }

    private func number(of key: Data, behind folder: Data) -> UInt64? {
        guard key.starts(with: folder), key.count == folder.count + 16 else { return nil }
        return UInt64(String(decoding: key.dropFirst(folder.count), as: UTF8.self), radix: 16)
    }

    private func key(_ name: String) -> Data { Data((prefix + name).utf8) }

    /// The value of `epoch`.
    static func value(ofEpoch epoch: UInt64) -> Data { Data(hex(epoch).utf8) }

    private static func hex(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// The value of `head`. An append compares all of it.
struct EtcdHead: Equatable {
    var head: LogHead
    /// Of the keys and values in etcd. Entries have levels of their own.
    var format = EtcdHead.format

    static let format: UInt32 = 1
    private static let byteCount = 16 + LogPosition.hashBytes + 4 + 1

    var data: Data {
        var data = Data()
        data.append(bigEndian: head.position.epoch)
        data.append(bigEndian: head.position.number)
        data.append(contentsOf: head.position.hash)
        data.append(bigEndian: format)
        data.append(head.isSealed ? 1 : 0)
        return data
    }

    init(_ head: LogHead) { self.head = head }

    /// - Returns: nil for a value that no version writes.
    init?(_ data: Data) {
        let bytes = [UInt8](data)
        guard bytes.count == Self.byteCount, bytes[Self.byteCount - 1] <= 1 else { return nil }
        func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
        let hashEnd = 16 + LogPosition.hashBytes
        head = LogHead(
            position: LogPosition(epoch: number(0..<8), number: number(8..<16), hash: Array(bytes[16..<hashEnd])),
            isSealed: bytes[Self.byteCount - 1] == 1)
        format = UInt32(truncatingIfNeeded: number(hashEnd..<hashEnd + 4))
    }
}

extension NodeRecord {
    func data(_ about: NodeAbout, time: Int64) throws -> Data {
        var message = Countersign_NodeRecord()
        message.epoch = applied.epoch
        message.number = applied.number
        message.hash = Data(applied.hash)
        message.leaseNanoseconds = leaseNanoseconds
        message.isPausable = isPausable
        message.name = name
        message.region = about.region
        message.version = about.version
        message.address = about.address
        message.pepperChecks = about.pepperChecks.map { Data($0) }
        message.levelMin = LogLevel.first
        message.levelMax = LogLevel.newest
        message.level = about.level
        message.time = time
        return try message.serializedBytes()
    }

    /// A record of another node; nothing about it is assumed. What cannot be read is the record of a node of which nothing
    /// is known: it has confirmed nothing, and its lease is not over with time.
    init(node: UInt64, _ data: Data) {
        let message = try? Countersign_NodeRecord(serializedBytes: data)
        self.init(
            node: node, name: Self.visible(message?.name ?? ""),
            applied: LogPosition(
                epoch: message?.epoch ?? 0, number: message?.number ?? 0, hash: message.map { [UInt8]($0.hash) } ?? []),
            leaseNanoseconds: message?.leaseNanoseconds ?? .max, isPausable: message?.isPausable ?? true)
        time = message?.time ?? 0
    }
}

extension NodeRecord {
    /// A name as it may stand in a header, a log and a table.
    fileprivate static func visible(_ name: String, bytesMax: Int = 64) -> String {
        String(
            name.unicodeScalars.prefix(bytesMax).filter { ("!"..."~").contains($0) && $0 != "," }.map(Character.init))
    }
}

/// What a node says of itself.
public struct FleetNodeStatus: Sendable {
    public let record: NodeRecord
    public let region: String
    public let version: String
    /// Where other nodes reach it; empty: nowhere.
    public let address: String
    /// The check values of the peppers in its file.
    public let pepperChecks: [[UInt8]]
    /// The level that the log has as far as its store has it; 0 while it has not said so.
    public let level: UInt32
    /// The newest level of the log that it knows.
    public let newestLevel: UInt32

    init(node: UInt64, _ data: Data) {
        record = NodeRecord(node: node, data)
        let message = try? Countersign_NodeRecord(serializedBytes: data)
        region = NodeRecord.visible(message?.region ?? "")
        version = NodeRecord.visible(message?.version ?? "")
        address = NodeRecord.visible(message?.address ?? "", bytesMax: 300)
        pepperChecks = message?.pepperChecks.map { [UInt8]($0) } ?? []
        level = message?.level ?? 0
        newestLevel = message?.levelMax ?? 0
    }
}

/// What a node's record says for people.
public struct NodeAbout: Sendable {
    public var region: String
    public var version: String
    public var address: String
    /// The check values of the peppers in its file.
    public var pepperChecks: [[UInt8]] = []
    /// The level of the log as its store has it.
    public var level: UInt32 = 0

    public init(region: String = "", version: String = "", address: String = "") {
        (self.region, self.version, self.address) = (region, version, address)
    }
}

extension Data {
    fileprivate mutating func append(bigEndian number: some FixedWidthInteger) {
        for shift in stride(from: number.bitWidth - 8, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: number >> shift))
        }
    }
}

/// The content of a node's store, for a comparison.
public struct FleetNodeDigest: Sendable {
    public let node: UInt64
    public let position: LogPosition
    /// Nil: it could not be read.
    public let tables: [Table]?

    public struct Table: Sendable, Equatable {
        public let name: String
        public let rows: UInt64
        public let hash: [UInt8]
    }

    /// - Returns: nil for the digest of another comparison, and for what no version writes.
    init?(node: UInt64, _ data: Data, of comparison: UInt64) {
        guard let message = try? Countersign_NodeDigest(serializedBytes: data), message.comparison == comparison else {
            return nil
        }
        self.node = node
        position = LogPosition(epoch: message.epoch, number: message.number, hash: [UInt8](message.hash))
        tables =
            message.isReadable
            ? message.tables.map { Table(name: $0.name, rows: $0.rows, hash: [UInt8]($0.hash)) } : nil
    }

    static func data(_ digest: StoreDigest?, at position: LogPosition, for comparison: UInt64) throws -> Data {
        var message = Countersign_NodeDigest()
        message.comparison = comparison
        message.epoch = position.epoch
        message.number = position.number
        message.hash = Data(position.hash)
        message.isReadable = digest != nil
        message.tables = (digest?.tables ?? []).map { table in
            .with {
                $0.name = table.name
                $0.rows = UInt64(table.rows)
                $0.hash = Data(table.hash)
            }
        }
        return try message.serializedBytes()
    }
}
