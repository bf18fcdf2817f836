import Glibc
import NIOCore

extension SocketOptionProvider {
    /// The user of the process at the other end of a Unix socket, as it was at its `connect` (`SO_PEERCRED`, unix(7)).
    func peerUser() -> EventLoopFuture<UInt32> {
        // The three numbers of the system's `struct ucred`, which the kernel writes whole or reports an error.
        let credentials: EventLoopFuture<(process: Int32, user: UInt32, group: UInt32)> =
            unsafeGetSocketOption(level: .socket, name: NIOBSDSocket.Option(rawValue: SO_PEERCRED))
        return credentials.map { $0.user }
    }
}
