import Glibc
import Synchronization
import UnixSignals

/// Lets a long command end where it can say what is done: Ctrl-C and SIGTERM set a mark, which it looks at between two steps.
/// The second one ends the process at once.
final class Interruption: Sendable {
    struct Interrupted: Error {}

    private let isSet = Atomic<Bool>(false)

    /// - Throws: ``Interrupted`` once the mark is set.
    func check() throws {
        if isSet.load(ordering: .relaxed) { throw Interrupted() }
    }

    /// Waits for signals until the task is cancelled.
    func watch() async {
        for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm) { interrupt() }
    }

    func interrupt() {
        guard isSet.exchange(true, ordering: .relaxed) else {
            return Console.error("\nEnding behind the batch that is under way. Once more: ending at once.")
        }
        // As a shell expects of a process that Ctrl-C ended.
        _exit(130)
    }
}
