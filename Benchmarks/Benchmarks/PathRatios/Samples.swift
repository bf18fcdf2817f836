import Synchronization

/// One result of each thread.
final class Outcomes: Sendable {
    private let results: Mutex<[Result<Void, any Error>]>

    init(_ count: Int) {
        results = Mutex(Array(repeating: .success(()), count: count))
    }

    subscript(index: Int) -> Result<Void, any Error> {
        get { results.withLock { $0[index] } }
        set { results.withLock { $0[index] = newValue } }
    }
}

extension [Double] {
    var median: Double { isEmpty ? 0 : sorted()[count / 2] }
}

extension [UInt64] {
    /// The smallest that so large a share of them does not exceed.
    func percentile(_ share: Double) -> UInt64 {
        isEmpty ? 0 : sorted()[Swift.min(count - 1, Int((Double(count) * share).rounded(.up)) - 1)]
    }
}
