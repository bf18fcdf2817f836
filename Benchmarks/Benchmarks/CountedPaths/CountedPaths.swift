import CountedSection
import Dispatch
import MeasuredPaths
import Synchronization

/// Runs each path for callgrind, which counts only what happens inside `counted_section` and writes it down each time that
/// function is left: `Benchmarks/micro` starts it so. Making the store, which is different each time, is not counted.
///
/// Prints a line for each section, in their order: the path's name and how often it ran.
@main
enum CountedPaths {
    /// Runs that are counted, and as many before them, in which symbols are bound and caches filled. A multiple of a batch.
    private static let count = 1_024
    // More keys than runs before and while counting: a path that misses then misses each time.
    private static let keyCount = 3_000
    // With fewer keys it is less waiting and the same instructions.
    private static let names = PathName.allCases.filter { $0 != .hitOf1000 && $0 != .batchOf1000 }
    // callgrind shares its address space with what it runs.
    private static let mapBytes = 256 << 20

    // Not async: the main thread of an async program waits in a way that ends valgrind 3.19.
    static func main() throws {
        let measured = try prepared()
        defer { measured.close() }
        for name in names {
            let path = try measured.path(name)
            try path.run(count)
            try Section(path, count).run()
            print(name.rawValue, count)
        }
    }

    private static func prepared() throws -> MeasuredStore {
        let made = Mutex<Result<MeasuredStore, any Error>?>(nil)
        let isMade = DispatchSemaphore(value: 0)
        Task.detached {
            let result: Result<MeasuredStore, any Error>
            do {
                result = .success(try await MeasuredStore(keyCount: keyCount, mapBytes: mapBytes))
            } catch {
                result = .failure(error)
            }
            made.withLock { $0 = result }
            isMade.signal()
        }
        isMade.wait()
        guard let result = made.withLock({ $0 }) else { throw MeasuringFault("nothing was made") }
        return try result.get()
    }
}

/// A path on its way through C.
private final class Section {
    private let path: MeasuredPath
    private let count: Int
    private var result: Result<Void, any Error> = .success(())

    init(_ path: MeasuredPath, _ count: Int) {
        self.path = path
        self.count = count
    }

    func run() throws {
        // SAFETY: `self` lives through the call, which keeps no pointer to it.
        unsafe counted_section(
            { context in
                guard let context = unsafe context else { return }
                // SAFETY: as above.
                let section = unsafe Unmanaged<Section>.fromOpaque(context).takeUnretainedValue()
                section.result = Result { try section.path.run(section.count) }
            }, Unmanaged.passUnretained(self).toOpaque())
        try result.get()
    }
}
