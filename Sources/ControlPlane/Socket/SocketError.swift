import Glibc

/// The two errors of `connect` that mean: nobody listens here.
enum SocketError {
    /// There is a file, but nobody behind it.
    static let refused = ECONNREFUSED
    /// There is no file.
    static let absent = ENOENT
}
