import CMachine
import Foundation
import ServiceLifecycle

/// Tells systemd, or whatever speaks its protocol, how far the service is; nothing where nobody asked to be told.
/// - SeeAlso: sd_notify(3)
enum ServiceManager {
    enum State {
        /// All listeners accept.
        case ready
        /// The end was asked for; what is under way is answered.
        case stopping

        var text: String {
            switch self {
            case .ready: "READY=1"
            case .stopping: "STOPPING=1"
            }
        }
    }

    /// - Parameter socket: a path, or an abstract name behind an @.
    static func tell(_ state: State, at socket: String? = ProcessInfo.processInfo.environment["NOTIFY_SOCKET"]) {
        guard let socket else { return }
        // What cannot be told is no reason to serve less: the manager then ends the start by its own time limit.
        // SAFETY: both texts are NUL-terminated for the length of the call.
        _ = unsafe cs_notify(socket, state.text)
    }
}

/// Tells the service manager when the end has been asked for. The last of the services, since they are ended in reverse order.
struct StopNotice: Service {
    func run() async throws {
        try await gracefulShutdown()
        ServiceManager.tell(.stopping)
    }
}
