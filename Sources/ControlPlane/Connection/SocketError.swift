import Glibc

/// What the errors of `connect` on a socket file mean.
enum SocketError {
    /// There is no file, or there is one and nobody behind it.
    static let nobodyListens: Set<CInt> = [ENOENT, ECONNREFUSED]
}
