internal import CLMDB
internal import Glibc

/// Free space of the file system that holds a store.
public struct DiskSpace: Equatable, Sendable {
    /// Bytes available to an unprivileged user.
    public let availableBytes: Int
    public let totalBytes: Int
}

extension Environment {
    /// Queries the file system of `data.mdb`; one system call.
    public func diskSpace() throws(LMDBError) -> DiskSpace {
        try enter()
        defer { leave() }
        return try enteredDiskSpace()
    }

    /// Allocates disk blocks for the first `bytes` of `data.mdb`, so that writes there need no more. Neither the length of
    /// the file nor its contents change.
    ///
    /// File systems that never overwrite in place (btrfs, ZFS) may still need space when a page is rewritten.
    /// - Throws: ``LMDBError/diskFull``, or ``LMDBError/system(_:)`` with EOPNOTSUPP where the file system cannot do this.
    @available(*, noasync)
    public func allocate(bytes: Int) throws(LMDBError) {
        try enter()
        defer { leave() }
        try enteredAllocate(bytes: bytes)
    }

    /// The cause of a failed write. LMDB reports a short write as EIO, and a short write is what most file systems produce
    /// when they run full.
    ///
    /// Such a write has used up the space that was left, so checking at once finds next to none.
    func explained(_ error: LMDBError) -> LMDBError {
        guard error == .inputOutput else { return error }
        if let space = try? enteredDiskSpace(), space.availableBytes < Self.probeBytes { return .diskFull }
        // A quota does not appear in the file system's figures.
        guard let file = try? enteredFile() else { return error }
        do throws(LMDBError) {
            try enteredAllocate(bytes: file.bytes + Self.probeBytes)
        } catch .diskFull {
            return .diskFull
        } catch {}
        return error
    }

    private static let probeBytes = 256 << 10

    private func enteredDiskSpace() throws(LMDBError) -> DiskSpace {
        var info = statvfs()
        // SAFETY: `info` is a local out-parameter.
        guard unsafe fstatvfs(try descriptor(), &info) == 0 else { throw LMDBError(code: errno) }
        func bytes(_ blocks: UInt) -> Int {
            let (bytes, overflow) = blocks.multipliedReportingOverflow(by: UInt(info.f_frsize))
            return overflow ? .max : Int(clamping: bytes)
        }
        return DiskSpace(availableBytes: bytes(UInt(info.f_bavail)), totalBytes: bytes(UInt(info.f_blocks)))
    }

    private func enteredAllocate(bytes: Int) throws(LMDBError) {
        let descriptor = try descriptor()
        while true {
            if clmdb_allocate(descriptor, Int64(bytes)) == 0 { return }
            guard errno == EINTR else { throw LMDBError(code: errno) }
        }
    }
}
