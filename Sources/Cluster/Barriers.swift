/// Who waits until this node has everything that was acknowledged before. All who came before a barrier was sent share it.
struct Barriers {
    typealias Completion = @Sendable (Bool) -> Void

    private var waiting: [Completion] = []
    private var underWay: [Completion] = []
    /// None is begun before this time: anybody can invent credentials that nobody has heard of.
    private var next: UInt64 = 0
    private var isPlanned = false

    /// Barriers are apart by so much for each node of the fleet, and by the least at least.
    private static let nanosecondsPerNode: UInt64 = 500_000
    private static let nanosecondsMin: UInt64 = 5_000_000

    mutating func add(_ completion: @escaping Completion) { waiting.append(completion) }

    /// - Returns: after how many nanoseconds one is to be begun; nil if nobody waits for one that is not planned yet.
    mutating func plan(at now: UInt64) -> UInt64? {
        guard !waiting.isEmpty, underWay.isEmpty, !isPlanned else { return nil }
        isPlanned = true
        return next > now ? next - now : 0
    }

    /// Takes all who wait now.
    /// - Returns: whether there are any.
    mutating func begin(at now: UInt64, nodes: Int) -> Bool {
        isPlanned = false
        guard underWay.isEmpty, !waiting.isEmpty else { return false }
        swap(&waiting, &underWay)
        next = now + max(Self.nanosecondsMin, UInt64(nodes) * Self.nanosecondsPerNode)
        return true
    }

    /// Those who waited for the one that has ended.
    mutating func end() -> [Completion] {
        defer { underWay = [] }
        return underWay
    }

    mutating func takeAll() -> [Completion] {
        defer { (waiting, underWay) = ([], []) }
        return underWay + waiting
    }
}
