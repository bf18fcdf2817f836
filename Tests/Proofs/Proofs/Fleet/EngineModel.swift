import Cluster
import CredentialStore
import ProofSupport

/// What one transaction of a simulated node changes.
enum SimulatedChange: Equatable {
    case issue(UInt32)
    case revoke(UInt32)
    /// A code that may be used once.
    case redeem(UInt32)
    /// A number for a text.
    case intern(UInt32, text: UInt32)

    var endsSomething: Bool {
        if case .revoke = self { true } else { false }
    }
}

struct SimulatedEntry: ClusterEntry, Equatable {
    var position: LogPosition
    var previousHash: [UInt8]
    var batch: UInt64
    var wantsConfirmation: Bool
    var changes: [SimulatedChange]

    init(_ changes: [SimulatedChange], after before: LogPosition, batch: UInt64, wantsConfirmation: Bool) {
        position = LogPosition(
            epoch: before.epoch, number: before.number + 1, hash: Self.hash(before, batch))
        previousHash = before.hash
        self.batch = batch
        self.wantsConfirmation = wantsConfirmation
        self.changes = changes
    }

    /// Eight bytes are enough: nobody in the simulation looks for collisions.
    private static func hash(_ before: LogPosition, _ batch: UInt64) -> [UInt8] {
        var mixed = batch &* 0x9E37_79B9_7F4A_7C15 ^ before.number
        for byte in before.hash { mixed = (mixed ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return (0..<8).map { UInt8(truncatingIfNeeded: mixed >> (8 * UInt64($0))) }
    }
}

/// Rules of the protocol that the simulation can break, to show that it would notice.
enum ClusterMutant: String, CaseIterable {
    /// Append if `log/N+1` is absent, without a comparison of `head`.
    case createIfAbsent = "create-if-absent"
    case staleRenewal = "stale-renewal"
    case leaseFromReply = "lease-from-reply"
    case leaseBeforeApply = "lease-before-apply"
    case earlyRemoval = "early-removal"
    case incompleteRecords = "incomplete-records"
    case noFence = "no-fence"
    case newBytesOnRetry = "new-bytes-on-retry"
    case acknowledgeBeforeCommit = "acknowledge-before-commit"
    case answerWithoutProof = "answer-without-proof"
    case reseedAtOnce = "reseed-at-once"
    /// A log that is begun anew does not know of nodes whose clocks may stand still.
    case forgetPausable = "forget-pausable"
    case publishBeforeWon = "publish-before-won"
    /// A node that applies a revocation of another one does not remember it for callers who revoke the same once more.
    case forgottenRevocation = "forgotten-revocation"
    /// The barrier before "unknown" is a plain read.
    case staleBarrier = "stale-barrier"
}

/// etcd as the protocol relies on it: transactions in one order, and reads that may be old.
struct EngineModel {
    private(set) var head: LogHead
    /// Entries of the present epoch, from `first` on.
    private(set) var entries: [SimulatedEntry] = []
    private(set) var first: UInt64 = 1
    private(set) var records = RecordList()
    private let mutant: ClusterMutant?

    private static let pageCount = 16

    /// - Parameter nodes: what the beginning of a log has to know of nodes.
    init(_ position: LogPosition, _ mutant: ClusterMutant?, nodes: [NodeRecord] = []) {
        head = LogHead(position: position)
        first = position.number + 1
        self.mutant = mutant
        for node in nodes { records.records[node.node] = StoredRecord(record: node, revision: 0) }
    }

    /// Executes a request.
    /// - Parameter old: an earlier state of the engine, for what may be out of date.
    mutating func execute(
        _ request: EngineRequest<SimulatedEntry>, old: EngineModel, _ random: inout Randomness
    ) -> EngineReply<SimulatedEntry> {
        switch request {
        case .append(let entry, let expecting):
            guard mayAppend(entry, expecting) else { return .moved(head, page(after: expecting)) }
            entries.append(entry)
            head.position = entry.position
            records.revision += 1
            return .held(listed(&random))
        case .prove(let expecting):
            guard head == LogHead(position: expecting) else { return .moved(head, page(after: expecting)) }
            return .held(listed(&random))
        case .renew(let record):
            let seen = mutant == .staleRenewal ? old.head : head
            records.revision += 1
            records.records[record.node] = StoredRecord(record: record, revision: records.revision)
            return .renewed(seen)
        case .removeRecord(let node, let revision):
            if records.records[node]?.revision == revision || mutant == .earlyRemoval {
                records.revision += 1
                records.records[node] = nil
            }
            return .records(records)
        case .entries(let position): return .entries(old.head, old.page(after: position))
        case .records: return .records(old.records)
        }
    }

    private func mayAppend(_ entry: SimulatedEntry, _ expecting: LogPosition) -> Bool {
        guard mutant == .createIfAbsent else { return head == LogHead(position: expecting) }
        let isThere = entries.contains { $0.position.number == entry.position.number }
        return !head.isSealed && head.position.epoch == expecting.epoch && !isThere
    }

    private func listed(_ random: inout Randomness) -> RecordList {
        guard mutant == .incompleteRecords else { return records }
        var some = records
        // Sorted: the order of a dictionary differs from process to process, and a seed must give the same run.
        for node in records.records.keys.sorted() where Int.random(in: 0..<3, using: &random) == 0 {
            some.records[node] = nil
        }
        return some
    }

    private func page(after position: LogPosition) -> EntryPage<SimulatedEntry> {
        let rest = entries.filter { $0.position.number > position.number }
        return EntryPage(first: first, entries: Array(rest.prefix(Self.pageCount)))
    }

    mutating func trim(keeping count: Int) {
        guard entries.count > count else { return }
        entries.removeFirst(entries.count - count)
        first = entries.first?.position.number ?? head.position.number + 1
    }

    /// A process has ended for certain: its node has started again.
    mutating func forget(_ node: UInt64) {
        records.revision += 1
        records.records[node] = nil
    }

    mutating func seal() { head.isSealed = true }
}
