import NIOCore
import NIOPosix

/// Finds out whether somebody listens on a socket file.
enum SocketProbe {
    /// - Throws: `IOError` when that cannot be found out, for want of permission for example.
    static func isListening(at path: String) async throws -> Bool {
        do {
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.seconds(1))
                .connect(unixDomainSocketPath: path).get()
            try? await channel.close()
            return true
        } catch let error as IOError where SocketError.nobodyListens.contains(error.errnoCode) {
            return false
        }
    }
}
