import DataPlane
import Logging
import Synchronization

/// The first line of the log: all listeners, when the last of them accepts. From then on the service is ready.
final class Announcement: Sendable {
    private struct State {
        var data: [String]?
        var control: String?
    }

    private let state = Mutex(State())
    private let logger: Logger
    private let readiness: DataPlane.Readiness

    init(logger: Logger, readiness: DataPlane.Readiness) {
        self.logger = logger
        self.readiness = readiness
    }

    func dataPlane(_ listeners: [String]) {
        announce(
            state.withLock {
                $0.data = listeners; return $0
            })
    }

    func controlPlane(_ listener: String) {
        announce(
            state.withLock {
                $0.control = listener; return $0
            })
    }

    private func announce(_ state: State) {
        guard let data = state.data, let control = state.control else { return }
        readiness.become(.ready)
        logger.notice(
            "ready",
            metadata: ["listeners": .string(data.joined(separator: " ")), "control": .string(control)])
    }
}
