import Glibc
import NIOCore
import NIOPosix

/// Finds out whether a daemon listens on a socket, before a request is sent to it.
enum SocketProbe {
    /// - Throws: ``CommandFailure`` when the socket may not be used.
    static func isListening(_ path: String) async throws -> Bool {
        do {
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.seconds(5))
                .connect(unixDomainSocketPath: path).get()
            try? await channel.close()
            return true
        } catch let error as IOError where error.errnoCode == ECONNREFUSED || error.errnoCode == ENOENT {
            return false
        } catch let error as IOError where error.errnoCode == ENOTDIR {
            return false
        } catch let error as IOError where error.errnoCode == EACCES {
            throw CommandFailure("You may not use '\(path)'. Run as the user that runs the daemon.")
        } catch SocketAddressError.unixDomainSocketPathTooLong {
            throw CommandFailure("The socket path '\(path)' is too long for the system. Use a shorter folder.")
        } catch {
            throw CommandFailure("Cannot connect to '\(path)'. Is it the socket of a daemon?")
        }
    }
}
