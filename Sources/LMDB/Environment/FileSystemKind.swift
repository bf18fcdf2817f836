internal import CLMDB
internal import Glibc

/// File systems on which LMDB loses data: their locks and shared maps do not work across machines, and FUSE guarantees
/// neither.
enum FileSystemKind {
    /// Magic numbers of statfs(2), linux/magic.h and the file systems' own sources.
    private static let remote: Set<UInt32> = [
        0x6969,  // NFS
        0x517B,  // SMB
        0xFF53_4D42,  // CIFS
        0xFE53_4D42,  // SMB2
        0x6573_5546,  // FUSE: sshfs, s3fs, gcsfuse, virtiofs
        0x0102_1997,  // 9P
        0x00C3_6400,  // Ceph
        0x5346_414F, 0x6B41_4653,  // AFS
        0x7375_7245,  // Coda
        0x564C,  // NCP
        0x0BD0_0BD0,  // Lustre
        0x7461_636F,  // OCFS2
        0x0116_1970,  // GFS2
        0x4750_4653,  // GPFS
        0x786F_4256,  // VirtualBox shared folder
        0xBACB_ACBC,  // VMware shared folder
    ]

    static func isRemote(magic: UInt32) -> Bool { remote.contains(magic) }

    /// - Throws: ``LMDBError/networkFileSystem``, or ``LMDBError/storeAbsent`` when there is no such folder.
    static func requireLocal(_ directory: String) throws(LMDBError) {
        // SAFETY: the path is NUL-terminated for the length of the call.
        let magic = unsafe clmdb_file_system_magic(directory)
        guard magic >= 0 else {
            throw errno == ENOENT || errno == ENOTDIR ? .storeAbsent : LMDBError(code: errno)
        }
        if isRemote(magic: UInt32(truncatingIfNeeded: magic)) { throw .networkFileSystem }
    }
}
