import CMachine
import DataPlane
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// Logs all listeners when the last of them accepts connections, and turns the service ready.
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

    /// - Parameter networkListeners: number of the control plane's network addresses.
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

/// Reports the state of the service to systemd, or another manager with its protocol. Does nothing when `NOTIFY_SOCKET` is not
/// set.
/// - SeeAlso: sd_notify(3)
enum ServiceManager {
    enum State {
        /// All listeners accept connections.
        case ready
        /// The service was asked to end, and answers what has begun.
        case stopping

        var text: String {
            switch self {
            case .ready: "READY=1"
            case .stopping: "STOPPING=1"
            }
        }
    }

    /// - Parameter socket: a path, or `@` and an abstract name.
    static func tell(_ state: State, at socket: String? = ProcessInfo.processInfo.environment["NOTIFY_SOCKET"]) {
        guard let socket else { return }
        // A failure is ignored, since the service works without a manager. The manager's own time limit ends the start then.
        // SAFETY: both texts are NUL-terminated for the length of the call.
        _ = unsafe cs_notify(socket, state.text)
    }
}

/// Tells the service manager that the service was asked to end. The last of the services, since they are stopped in reverse
/// order.
struct StopNotice: Service {
    func run() async throws {
        try await gracefulShutdown()
        ServiceManager.tell(.stopping)
    }
}
