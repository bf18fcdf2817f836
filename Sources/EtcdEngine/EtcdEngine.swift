public import Cluster
public import CredentialStore
import Foundation
import GRPCCore
import SwiftProtobuf
import Synchronization

// The requests of the protocol as transactions of etcd. What the protocol relies on is the order of Raft: appends, proofs
// and renewals are transactions that write, or would write, so each of them goes through Raft and reads a state that is the
// newest at its place. A transaction of reads alone would not.

/// The log of a fleet on etcd.
public final class EtcdEngine: ClusterEngine {
    let client: EtcdClient
    let keys: EtcdKeys
    private let about: Mutex<NodeAbout>

    /// Entries of one read. The longest are 1 MiB.
    private static let pageEntries: Int64 = 16
    /// Entries that an append which came too late gets back.
    private static let lostEntries: Int64 = 8
    private static let watchRetry = Duration.milliseconds(100)

    /// - Parameter allowed: versions that may be used although they can lose data, for tests.
    /// - Throws: ``EtcdAddress/Fault`` when the certificates cannot be used.
    public init(_ address: EtcdAddress, about: NodeAbout = NodeAbout(), allowed: Set<String> = [])
        throws(EtcdAddress.Fault)
    {
        client = try EtcdClient(address, allowed: allowed)
        keys = EtcdKeys(fleet: address.fleet)
        self.about = Mutex(about)
    }

    /// Changes what the node's record says, from the next renewal on.
    public func say(_ change: @Sendable (inout NodeAbout) -> Void) { about.withLock { change(&$0) } }

    /// Keeps the connections until it is cancelled.
    public func run() async { await client.run() }

    /// Asks each member whether it can be used.
    /// - Returns: warnings about members that can be used and should not, or do not answer.
    /// - Throws: ``EngineRefusal`` if one must not be used, or none answers.
    public func check() async throws(EngineRefusal) -> [String] {
        var warnings: [String] = []
        var usable = 0
        for (endpoint, check) in await client.checks() {
            switch check {
            case .refused(let reason): throw EngineRefusal(reason: "etcd at \(endpoint) cannot be used: \(reason)")
            case .unreachable: warnings.append("etcd at \(endpoint) does not answer")
            case .usable(let version):
                usable += 1
                guard !version.isRecommended else { continue }
                warnings.append(
                    "etcd at \(endpoint) is version \(version), which has known faults: use 3.5.33, 3.6.14 or later")
            }
        }
        guard usable > 0 else {
            throw EngineRefusal(reason: "no member of etcd answers: check the addresses, certificates, and etcd itself")
        }
        return warnings
    }

    /// Each member of etcd that is named, and what can be said of it.
    public func members() async -> [EtcdMemberStatus] {
        await client.checks().map { endpoint, check in
            let state =
                switch check {
                case .usable(let version): "etcd \(version)"
                case .refused(let reason): "refused: \(reason)"
                case .unreachable: "does not answer"
                }
            return EtcdMemberStatus(endpoint: endpoint.description, state: state)
        }
    }

    /// What the nodes say of themselves, by name. May be out of date.
    public func nodes() async throws(EngineFault) -> [FleetNodeStatus] {
        let (nodes, end) = keys.nodes
        let reply = try await read([.range(nodes, end)])
        var list: [FleetNodeStatus] = []
        for pair in try range(of: reply, at: 0) {
            guard let node = keys.node(of: pair.key) else { continue }
            list.append(FleetNodeStatus(node: node, pair.value))
        }
        return list.sorted { ($0.record.name, $0.record.node) < ($1.record.name, $1.record.node) }
    }

    /// Removes the record of a node that has ended: nobody waits for it any more.
    public func remove(_ node: UInt64) async throws(EngineFault) {
        var transaction = Etcdserverpb_TxnRequest()
        transaction.success = [.delete(keys.node(node)), .delete(keys.digest(node))]
        _ = try await execute(transaction)
    }

    public func publish(
        _ digest: StoreDigest?, at position: LogPosition, for comparison: UInt64, of node: UInt64
    ) async throws(EngineFault) {
        guard let data = try? FleetNodeDigest.data(digest, at: position, for: comparison) else { throw .unavailable }
        var transaction = Etcdserverpb_TxnRequest()
        transaction.success = [.put(keys.digest(node), data)]
        _ = try await execute(transaction)
    }

    /// What the nodes have said for a comparison so far. May be out of date.
    public func digests(for comparison: UInt64) async throws(EngineFault) -> [FleetNodeDigest] {
        let (digests, end) = keys.digests
        var list: [FleetNodeDigest] = []
        for pair in try range(of: try await read([.range(digests, end)]), at: 0) {
            guard let node = keys.digestedNode(of: pair.key),
                let digest = FleetNodeDigest(node: node, pair.value, of: comparison)
            else { continue }
            list.append(digest)
        }
        return list
    }

    // MARK: Requests

    public func perform(_ request: EngineRequest<LogEntry>) async throws(EngineFault) -> EngineReply<LogEntry> {
        switch request {
        case .append(let entry, let expecting):
            let next = EtcdHead(LogHead(position: entry.position))
            let key = keys.entry(entry.position.epoch, entry.position.number)
            return try await compareHead(expecting, then: [.put(key, Data(entry.bytes)), .put(keys.head, next.data)])
        case .prove(let position): return try await compareHead(position, then: [.delete(keys.none)])
        case .renew(let record):
            let data: Data
            do {
                data = try record.data(about.withLock { $0 }, time: Int64(Date().timeIntervalSince1970))
            } catch {
                throw .unavailable
            }
            var transaction = Etcdserverpb_TxnRequest()
            transaction.success = [.put(keys.node(record.node), data), .range(keys.head)]
            let reply = try await execute(transaction)
            return .renewed(try head(of: reply, at: 1).head)
        case .removeRecord(let node, let revision):
            var transaction = Etcdserverpb_TxnRequest()
            transaction.compare = [
                .with { compare in
                    compare.target = .mod
                    compare.key = keys.node(node)
                    compare.modRevision = Int64(clamping: revision)
                }
            ]
            transaction.success = [.delete(keys.node(node))]
            _ = try await execute(transaction)
            return .records(RecordList())
        case .entries(let position):
            let reply = try await read(pageRequests(after: position, limit: Self.pageEntries))
            return .entries(try head(of: reply, at: 0).head, try page(of: reply, after: position))
        case .records:
            let (nodes, end) = keys.nodes
            let reply = try await read([.range(nodes, end, isSerializable: true)])
            return .records(try records(of: reply, at: 0))
        }
    }

    /// A transaction that does something only if the log is open and at a position, and reads the records then; otherwise
    /// the entries that came first.
    private func compareHead(
        _ position: LogPosition, then operations: [Etcdserverpb_RequestOp]
    ) async throws(EngineFault) -> EngineReply<LogEntry> {
        let (nodes, end) = keys.nodes
        var transaction = Etcdserverpb_TxnRequest()
        transaction.compare = [
            .with { compare in
                compare.target = .value
                compare.key = keys.head
                compare.value = EtcdHead(LogHead(position: position)).data
            }
        ]
        transaction.success = operations + [.range(nodes, end)]
        // The deletion of nothing makes it one that goes through Raft on this side as well.
        transaction.failure = pageRequests(after: position, limit: Self.lostEntries) + [.delete(keys.none)]
        let reply = try await execute(transaction)
        if reply.succeeded { return .held(try records(of: reply, at: operations.count)) }
        return .moved(try head(of: reply, at: 0).head, try page(of: reply, after: position))
    }

    private func pageRequests(after position: LogPosition, limit: Int64) -> [Etcdserverpb_RequestOp] {
        let (from, to) = keys.entries(position.epoch, from: position.number + 1)
        return [.range(keys.head), .range(keys.first), .range(from, to, limit: limit)]
    }

    /// Executes a transaction that Raft orders.
    func execute(_ transaction: Etcdserverpb_TxnRequest) async throws(EngineFault) -> Etcdserverpb_TxnResponse {
        let floor = client.floor
        let reply = try await client.call { connection, options in
            try await Etcdserverpb_KV.Client(wrapping: connection).txn(transaction, options: options)
        }
        try client.note(reply.header, since: floor)
        return reply
    }

    /// A transaction of reads alone, which is ordered by nothing.
    func read(_ operations: [Etcdserverpb_RequestOp]) async throws(EngineFault) -> Etcdserverpb_TxnResponse {
        var transaction = Etcdserverpb_TxnRequest()
        transaction.success = operations
        let request = transaction
        return try await client.call(isLong: true) { connection, options in
            try await Etcdserverpb_KV.Client(wrapping: connection).txn(request, options: options)
        }
    }

    // MARK: Replies

    func range(
        of reply: Etcdserverpb_TxnResponse, at index: Int
    ) throws(EngineFault) -> [Mvccpb_KeyValue] {
        guard index < reply.responses.count else { throw .unavailable }
        return reply.responses[index].responseRange.kvs
    }

    func head(of reply: Etcdserverpb_TxnResponse, at index: Int) throws(EngineFault) -> EtcdHead {
        guard let value = try range(of: reply, at: index).first?.value else { throw .unusable(.engineLostHistory) }
        return try Self.head(value)
    }

    static func head(_ value: Data) throws(EngineFault) -> EtcdHead {
        guard let head = EtcdHead(value) else { throw .unusable(.formatTooNew) }
        guard head.format <= EtcdHead.format else { throw .unusable(.formatTooNew) }
        return head
    }

    private func page(
        of reply: Etcdserverpb_TxnResponse, after position: LogPosition
    ) throws(EngineFault) -> EntryPage<LogEntry> {
        var entries: [LogEntry] = []
        for pair in try range(of: reply, at: 2) { entries.append(try Self.entry(pair)) }
        return EntryPage(first: try first(of: reply, at: 1), entries: entries)
    }

    /// The number of the oldest entry.
    func first(of reply: Etcdserverpb_TxnResponse, at index: Int) throws(EngineFault) -> UInt64 {
        guard let value = try range(of: reply, at: index).first?.value else { return 1 }
        guard let first = UInt64(String(decoding: value, as: UTF8.self)), first > 1 else {
            throw .unusable(.formatTooNew)
        }
        return first
    }

    private static func entry(_ pair: Mvccpb_KeyValue) throws(EngineFault) -> LogEntry {
        do {
            return try LogEntry([UInt8](pair.value))
        } catch {
            throw .unusable(error == .log(.formatTooNew) ? .formatTooNew : .cannotApply(error))
        }
    }

    func records(
        of reply: Etcdserverpb_TxnResponse, at index: Int
    ) throws(EngineFault) -> RecordList {
        var list = RecordList(revision: UInt64(clamping: reply.header.revision))
        for pair in try range(of: reply, at: index) {
            guard let node = keys.node(of: pair.key) else { continue }
            list.records[node] = StoredRecord(
                record: NodeRecord(node: node, pair.value), revision: UInt64(clamping: pair.modRevision))
        }
        return list
    }

    // MARK: Watching

    public func watch(_ receive: @escaping @Sendable ([LogEntry]) -> Void) async {
        while !Task.isCancelled {
            await watchOnce(receive)
            try? await Task.sleep(for: Self.watchRetry)
        }
    }

    /// Watches from now on, until the connection ends. What was appended before is found by reading.
    private func watchOnce(_ receive: @escaping @Sendable ([LogEntry]) -> Void) async {
        guard let (connection, giveUp) = try? await client.connection() else { return }
        let request = Etcdserverpb_WatchRequest.with { request in
            request.createRequest = .with { create in
                create.key = Data((keys.prefix + "log/").utf8)
                create.rangeEnd = Data((keys.prefix + "log0").utf8)
                create.filters = [.nodelete]
                create.fragment = true
            }
        }
        var options = CallOptions.defaults
        options.maxResponseMessageBytes = EtcdClient.messageBytesMax
        do {
            try await Etcdserverpb_Watch.Client(wrapping: connection).watch(options: options) { writer in
                try await writer.write(request)
                // etcd ends a watch when nothing more can be asked of it.
                while true { try await Task.sleep(for: .seconds(3_600)) }
            } onResponse: { response in
                for try await message in response.messages {
                    if message.canceled { return }
                    // Whatever was appended before must be read.
                    if message.created { receive([]) }
                    let entries = message.events.compactMap { try? Self.entry($0.kv) }
                    if !entries.isEmpty { receive(entries) }
                }
            }
        } catch {
            // What is missed is found by the next renewal.
        }
        if !Task.isCancelled { giveUp() }
    }
}

/// A member of etcd, for people.
public struct EtcdMemberStatus: Sendable {
    public let endpoint: String
    public let state: String
}

/// Why etcd cannot be used.
public struct EngineRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    public let reason: String

    public var description: String { reason }
}
