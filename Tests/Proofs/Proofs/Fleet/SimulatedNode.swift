import Cluster
import CredentialStore

/// A store with its readers.
struct SimulatedStore {
    var position: LogPosition
    var revoked: Set<UInt32> = []
    var issued: Set<UInt32> = []
    var redeemed: Set<UInt32> = []
    var numbers: [UInt32: UInt32] = [:]
    /// What readers look texts up in: by number.
    var published: [UInt32: UInt32] = [:]

    mutating func apply(_ changes: [SimulatedChange], _ position: LogPosition) {
        for change in changes {
            switch change {
            case .issue(let id): issued.insert(id)
            case .revoke(let id): revoked.insert(id)
            case .redeem(let code): redeemed.insert(code)
            case .intern(let number, let text):
                numbers[text] = number
                if published[number] == nil { published[number] = text }
            }
        }
        self.position = position
    }
}

/// One simulated process and its disk.
final class SimulatedNode {
    let name: Int
    var node: ClusterNode<SimulatedEntry>
    var store: SimulatedStore
    /// Rises with each start: what was meant for an earlier process is dropped.
    var start = 0
    /// Clock seconds = real time × rate + offset.
    let rate: Double
    let offset: UInt64
    let isPausable: Bool
    /// Real time for which its clock stood still.
    var stoodStill: UInt64 = 0
    var pausedUntil: UInt64 = 0
    /// Until then nothing of what it sends arrives, and no watch tells it anything.
    var cutOffUntil: UInt64 = 0
    /// Until then replies do not arrive either.
    var deafUntil: UInt64 = 0
    var isDead = false
    var needsBootstrap = false
    var queue: [Mutation] = []
    var batch: [Mutation] = []
    /// What the open transaction has decided.
    var decided: [SimulatedChange] = []
    /// The position that it has when it is won.
    var proposed: LogPosition?
    var isApplying: [SimulatedEntry] = []
    var confirming: [UInt64: [Mutation]] = [:]
    /// Mutations that wait for a proof before they can be confirmed.
    var unproven: [Mutation] = []

    /// The barrier under way, and what had been issued with acknowledgement when it began.
    var barrier: (tag: UInt64, issued: [UInt32])?

    struct Mutation {
        enum Kind { case issue, revoke, redeem, intern }
        let kind: Kind
        let id: UInt32
        let everywhere: Bool
        var changed = false
    }

    init(
        name: Int, _ node: ClusterNode<SimulatedEntry>, _ store: SimulatedStore, rate: Double, offset: UInt64,
        isPausable: Bool
    ) {
        self.name = name
        self.node = node
        self.store = store
        self.rate = rate
        self.offset = offset
        self.isPausable = isPausable
    }

    func clock(_ now: UInt64) -> UInt64 { offset + UInt64(Double(now - stoodStill) * rate) }
}
