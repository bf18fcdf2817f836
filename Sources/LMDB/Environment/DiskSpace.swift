internal import CLMDB
internal import Glibc

/// What the file system that holds a store has left.
public struct DiskSpace: Equatable, Sendable {
    /// Bytes that a user without privileges may still take.
    public let availableBytes: Int
    public let totalBytes: Int
}

extension Environment {
    /// Asks the file system of `data.mdb`; a system call.
    public func diskSpace() throws(LMDBError) -> DiskSpace {
        try enter()
        defer { leave() }
        return try enteredDiskSpace()
    }

    /// Takes blocks of the disk for the first `bytes` of `data.mdb`, so that writing there needs none any more. The file does
    /// not become longer, and what is in it stays.
    ///
    /// A file system that never overwrites in place (btrfs, ZFS) may need space all the same when a page is written again.
    /// - Throws: ``LMDBError/diskFull``, or ``LMDBError/system(_:)`` with EOPNOTSUPP where the file system cannot do this.
    @available(*, noasync)
    public func allocate(bytes: Int) throws(LMDBError) {
        try enter()
        defer { leave() }
        try enteredAllocate(bytes: bytes)
    }

    /// What a failure to write means. LMDB reports a write that was cut short as EIO, which is what most file systems do when
    /// they run full in the middle of it.
    ///
    /// Such a write has taken what space there was: so next to nothing is left when one asks at once.
    func explained(_ error: LMDBError) -> LMDBError {
        guard error == .inputOutput else { return error }
        if let space = try? enteredDiskSpace(), space.availableBytes < Self.probeBytes { return .diskFull }
        // A quota does not show in the file system's figures.
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
