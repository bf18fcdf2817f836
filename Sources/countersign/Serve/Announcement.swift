import DataPlane
import Logging
import Synchronization

/// The first line of the log: all listeners, when the last of them accepts. From then on the service is ready.
final class Announcement: Sendable {
    private struct Known {
        var data: String?
        var socket: String?
        var network: [String] = []
    }

    private let known = Mutex(Known())
    private let networkListeners: Int
    private let logger: Logger
    private let readiness: DataPlane.ServiceStatus

    /// - Parameter networkListeners: of the control plane.
    init(logger: Logger, readiness: DataPlane.ServiceStatus, networkListeners: Int) {
        self.logger = logger
        self.readiness = readiness
        self.networkListeners = networkListeners
    }

    func dataPlane(_ listeners: [String]) { announce { $0.data = listeners.joined(separator: " ") } }

    func controlSocket(_ listener: String) { announce { $0.socket = listener } }

    func controlNetwork(_ listener: String) { announce { $0.network.append(listener) } }

    private func announce(_ change: (inout Known) -> Void) {
        let known = known.withLock { known in
            change(&known)
            return known
        }
        guard let data = known.data, let socket = known.socket, known.network.count == networkListeners else { return }
        readiness.become(.ready)
        let control = ([socket] + known.network.sorted()).joined(separator: " ")
        ServiceManager.tell(.ready)
        logger.notice("ready", metadata: ["listeners": .string(data), "control": .string(control)])
    }
}
