public import Cluster
public import CredentialStore
import Foundation
import GRPCCore
import SwiftProtobuf

// How a log begins and ends, and what becomes of its old entries. Every change compares what it was decided by: two nodes may
// do the same at once, and another log may have begun meanwhile.

extension EtcdEngine {
    /// Begins the log of a fleet, at the position of its first store.
    /// - Returns: whether there was none; else nothing is changed.
    public func begin(at position: LogPosition) async throws(EngineFault) -> Bool {
        var transaction = Etcdserverpb_TxnRequest()
        transaction.compare = [
            .with { compare in
                compare.target = .create
                compare.key = keys.head
                compare.createRevision = 0
            }
        ]
        transaction.success = [
            .put(keys.head, EtcdHead(LogHead(position: position)).data),
            .put(keys.epoch, EtcdKeys.value(ofEpoch: position.epoch)),
        ]
        if try await execute(transaction).succeeded { return true }
        // It may have been executed twice.
        return try await head()?.position == position
    }

    /// Begins the log anew, closed, at the position of a store, with what must be known of nodes whose clocks may stand still.
    /// The entries of the log before are not read any more.
    /// - Parameter old: the head that is there; nil for none.
    /// - Returns: whether it was the head; else nothing is changed.
    public func beginAnew(
        at position: LogPosition, replacing old: LogHead?, pausable: [NodeRecord]
    ) async throws(EngineFault) -> Bool {
        var transaction = Etcdserverpb_TxnRequest()
        transaction.compare = [
            .with { compare in
                compare.key = keys.head
                if let old {
                    compare.target = .value
                    compare.value = EtcdHead(old).data
                } else {
                    compare.target = .create
                    compare.createRevision = 0
                }
            }
        ]
        let closed = EtcdHead(LogHead(position: position, isSealed: true))
        transaction.success = [
            .put(keys.head, closed.data), .put(keys.epoch, EtcdKeys.value(ofEpoch: position.epoch)),
            .delete(keys.first),
        ]
        for record in pausable {
            guard let data = try? record.data(NodeAbout(), time: 0) else { throw .unavailable }
            transaction.success.append(.put(keys.node(record.node), data))
        }
        if try await execute(transaction).succeeded { return true }
        // It may have been executed twice.
        return try await head() == closed.head
    }

    /// Opens a log that was begun anew.
    /// - Returns: false if another head is there.
    public func open(at position: LogPosition) async throws(EngineFault) -> Bool {
        var transaction = Etcdserverpb_TxnRequest()
        transaction.compare = [
            .with { compare in
                compare.target = .value
                compare.key = keys.head
                compare.value = EtcdHead(LogHead(position: position, isSealed: true)).data
            }
        ]
        transaction.success = [.put(keys.head, EtcdHead(LogHead(position: position)).data)]
        if try await execute(transaction).succeeded { return true }
        return try await head() == LogHead(position: position)
    }

    /// The head of the log; nil where there is none. May be out of date.
    public func head() async throws(EngineFault) -> LogHead? {
        let reply = try await read([.range(keys.head)])
        guard let value = reply.responses.first?.responseRange.kvs.first?.value else { return nil }
        return try Self.head(value).head
    }

    // MARK: Upkeep

    /// What upkeep decides by. May be out of date.
    func upkeepState() async throws(EngineFault) -> EtcdUpkeepState {
        let (nodes, end) = keys.nodes
        let reply = try await read([.range(keys.head), .range(keys.first), .range(nodes, end)])
        return EtcdUpkeepState(
            head: try head(of: reply, at: 0).head, first: try first(of: reply, at: 1),
            records: try records(of: reply, at: 2).records)
    }

    /// The size of the data of the member that is used now.
    func bytesInUse() async throws(EngineFault) -> Int64 {
        try await client.call { connection, options in
            try await Etcdserverpb_Maintenance.Client(wrapping: connection).status(
                Etcdserverpb_StatusRequest(), options: options
            ).dbSizeInUse
        }
    }

    /// Removes the entries before one.
    /// - Parameter first: the number of the oldest entry now.
    /// - Returns: false if that is another one, or another log has begun; then nothing is removed.
    func trim(_ epoch: UInt64, from first: UInt64, to next: UInt64) async throws(EngineFault) -> Bool {
        var transaction = Etcdserverpb_TxnRequest()
        transaction.compare = [
            isOf(epoch),
            .with { compare in
                compare.key = keys.first
                if first == 1 {
                    compare.target = .create
                    compare.createRevision = 0
                } else {
                    compare.target = .value
                    compare.value = Data(String(first).utf8)
                }
            },
        ]
        transaction.success = [
            .delete(keys.entry(epoch, first), to: keys.entry(epoch, next)), .put(keys.first, Data(String(next).utf8)),
        ]
        return try await execute(transaction).succeeded
    }

    /// Upkeep that was decided for a log must do nothing to one that was begun anew meanwhile.
    private func isOf(_ epoch: UInt64) -> Etcdserverpb_Compare {
        .with { compare in
            compare.target = .value
            compare.key = keys.epoch
            compare.value = EtcdKeys.value(ofEpoch: epoch)
        }
    }

    /// Removes some entries of logs before the present one.
    /// - Returns: whether there may be more; false if another log has begun meanwhile, and nothing is removed.
    func removeEntries(notOf epoch: UInt64) async throws(EngineFault) -> Bool {
        let (log, logEnd) = keys.log
        let (present, presentEnd) = keys.entries(epoch, from: 0)
        var hasMore = false
        for (from, end) in [(log, present), (presentEnd, logEnd)] {
            let reply = try await read([.range(from, end, limit: Self.removedAtOnce, keysOnly: true)])
            let found = try range(of: reply, at: 0)
            guard let last = found.last else { continue }
            var transaction = Etcdserverpb_TxnRequest()
            transaction.compare = [isOf(epoch)]
            transaction.success = [.delete(from, to: last.key + [0])]
            guard try await execute(transaction).succeeded else { return false }
            hasMore = hasMore || found.count == Self.removedAtOnce
        }
        return hasMore
    }

    private static let removedAtOnce: Int64 = 1_000

    /// Forgets all revisions but the newest.
    func compact() async throws(EngineFault) {
        let revision = client.floor
        try await client.call { connection, options in
            do {
                _ = try await Etcdserverpb_KV.Client(wrapping: connection).compact(
                    .with { $0.revision = revision }, options: options)
            } catch let error as RPCError where error.code == .outOfRange {
                // Done already.
            }
        }
    }
}

/// What upkeep decides by.
struct EtcdUpkeepState {
    var head: LogHead
    var first: UInt64
    var records: [UInt64: StoredRecord]
}

extension Etcdserverpb_RequestOp {
    static func put(_ key: Data, _ value: Data) -> Self {
        .with { operation in
            operation.requestPut = .with { put in
                put.key = key
                put.value = value
            }
        }
    }

    /// A deletion that Raft orders, whether or not there is anything.
    static func delete(_ key: Data, to end: Data? = nil) -> Self {
        .with { operation in
            operation.requestDeleteRange = .with { range in
                range.key = key
                range.rangeEnd = end ?? Data()
            }
        }
    }

    static func range(
        _ key: Data, _ end: Data? = nil, limit: Int64 = 0, keysOnly: Bool = false, isSerializable: Bool = false
    ) -> Self {
        .with { operation in
            operation.requestRange = .with { range in
                range.key = key
                range.rangeEnd = end ?? Data()
                range.limit = limit
                range.keysOnly = keysOnly
                range.serializable = isSerializable
            }
        }
    }
}
