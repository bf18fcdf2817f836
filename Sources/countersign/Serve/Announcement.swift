import DataPlane
import Logging
import Synchronization

/// The first line of the log: all listeners, when the last of them accepts. From then on the service is ready.
final class Announcement: Sendable {
    /// Whom the line names, in this order.
    enum Plane: String, CaseIterable {
        case data = "listeners"
        case control
        case oauth
    }

    private let known = Mutex<[Plane: String]>([:])
    private let awaited: Set<Plane>
    private let logger: Logger
    private let readiness: DataPlane.Readiness

    init(logger: Logger, readiness: DataPlane.Readiness, awaits: Set<Plane>) {
        self.logger = logger
        self.readiness = readiness
        awaited = awaits
    }

    func dataPlane(_ listeners: [String]) { announce(.data, listeners.joined(separator: " ")) }

    func controlPlane(_ listener: String) { announce(.control, listener) }

    func authorizationServer(_ listener: String) { announce(.oauth, listener) }

    private func announce(_ plane: Plane, _ listener: String) {
        let all = known.withLock { known in
            known[plane] = listener
            return known
        }
        guard awaited.isSubset(of: all.keys) else { return }
        readiness.become(.ready)
        logger.notice(
            "ready", metadata: Dictionary(uniqueKeysWithValues: all.map { ($0.key.rawValue, .string($0.value)) }))
    }
}
