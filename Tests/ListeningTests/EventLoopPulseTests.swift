import Foundation
import Listening
import NIOPosix
import Synchronization
import Testing

@Suite struct `An event loop whose wake-up failed` {
    /// In separate processes, in which no other loop has an eventfd.
    @Test func `still runs its work if it checks for it`() async {
        await #expect(processExitsWith: .success) { exit(try await HandOver.succeeds(looks: true) ? 0 : 2) }
    }

    @Test func `does not without the check`() async {
        await #expect(processExitsWith: .success) { exit(try await HandOver.succeeds(looks: false) ? 2 : 0) }
    }
}

private enum HandOver {
    /// Submits work to a loop twice, the first time while writes to its eventfd fail.
    static func succeeds(looks: Bool) async throws -> Bool {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        try await loop.submit {}.get()
        if looks { group.lookForWork(every: .milliseconds(20)) }
        // The loop sleeps by then, so that submitting work needs the eventfd.
        usleep(100_000)
        let eventFiles = (Int32(3)..<256).filter { number in
            let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(number)")
            return link == "anon_inode:[eventfd]"
        }
        guard !eventFiles.isEmpty else { exit(3) }
        let full = open("/dev/full", O_WRONLY)
        let aside = eventFiles.map { dup($0) }
        let done = Counter()
        for number in eventFiles { dup2(full, number) }
        loop.execute { done.add() }
        for (number, original) in zip(eventFiles, aside) { dup2(original, number) }
        // Relies on the wake-up that failed.
        loop.execute { done.add() }
        for _ in 0..<(looks ? 1_000 : 50) where done.count < 2 { usleep(10_000) }
        return done.count == 2
    }
}

private final class Counter: Sendable {
    private let value = Atomic<Int>(0)

    func add() { value.add(1, ordering: .relaxed) }

    var count: Int { value.load(ordering: .relaxed) }
}
