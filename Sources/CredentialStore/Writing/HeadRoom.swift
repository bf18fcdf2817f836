import LMDB
import Synchronization

/// Keeps room in the map for revocations: creates stop at 80 %.
///
/// Deleting and replacing rows copies pages, so a map that is filled to the brim could not even take a revocation.
final class HeadRoom: Sendable {
    /// Share of the map that creates may fill.
    static let createPercentMax = 80

    private struct State {
        var percent = 0
        var batchesUntilCount = 0
    }

    private let state = Mutex(State())

    /// What creates are refused with now; nil while there is room.
    func refusal(_ environment: Environment) -> StoreFailure? {
        let percent = usedPercent(environment)
        return percent >= Self.createPercentMax ? .full(usedPercent: percent) : nil
    }

    /// Used pages in percent of the map, free ones of the file not counted.
    ///
    /// Counting free pages walks LMDB's free list, so it is done only when the file's end comes near the limit, and then
    /// not for every batch.
    func usedPercent(_ environment: Environment) -> Int {
        guard let used = try? environment.usage(), used.mapBytes > 0 else { return 100 }
        let byEnd = used.highestBytes * 100 / used.mapBytes
        guard byEnd >= Self.createPercentMax else { return byEnd }
        return state.withLock { state in
            if state.batchesUntilCount > 0 {
                state.batchesUntilCount -= 1
                return state.percent
            }
            guard let statistics = try? environment.statistics() else { return byEnd }
            state.percent = statistics.occupiedBytes * 100 / max(statistics.mapBytes, 1)
            state.batchesUntilCount = 16
            return state.percent
        }
    }
}
