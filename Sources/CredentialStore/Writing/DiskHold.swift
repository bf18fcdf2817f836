import LMDB

// Even on a full disk it must be possible to revoke everything in the store. So the store allocates the blocks that
// revocations may need in advance, beyond the end of its data: blocks already allocated cannot be used up by others.
// Creates, and the store's own writes (last uses, re-tags), stop while the disk still has a minimum of free space, or if
// those blocks cannot be allocated.
//
// If the file system cannot allocate in advance (ZFS), creates stop earlier: at that minimum plus all that revocations may
// need. Others can use up that space, so such a store should have a reservation there.

/// The space left on the disk, as it concerns the store.
struct DiskRoom: Equatable, Sendable {
    /// Bytes that anybody may still allocate.
    var availableBytes = 0
    /// Creates stop below this many bytes.
    var floorBytes = 0
    /// Blocks beyond the last used page that the store has already allocated.
    var heldBytes = 0
    /// Creates are refused.
    var isFull = false
}

/// Reserves disk space for revocations. Only on the writer thread.
struct DiskHold {
    private let environment: Environment
    /// The file has blocks up to here.
    private var allocatedBytes = 0
    private var canAllocate = true

    /// The floor is a twentieth of the disk, but at most this.
    private static let floorBytesMax = 64 << 20
    /// Least size of the pages that commits copy before the old ones become free.
    private static let workingBytesMin = 256 << 10
    /// Extra bytes allocated at once, so that not every commit needs a system call.
    private static let stepBytes = (256 << 10)...(64 << 20)

    init(_ environment: Environment) {
        self.environment = environment
    }

    /// Reserves what the store's revocations now need, and decides whether creates may continue. Costs a system call or two.
    mutating func prepare(for room: Room) -> DiskRoom {
        var disk = DiskRoom()
        guard let space = try? environment.diskSpace(), let usage = try? environment.usage() else { return disk }
        disk.availableBytes = space.availableBytes
        disk.floorBytes = min(Self.floorBytesMax, space.totalBytes / 20)
        // Free pages have blocks; what they do not cover must be allocated beyond the end.
        let freeBytes = max(0, usage.highestBytes - room.occupiedBytes)
        let working = max(Self.workingBytesMin, room.occupiedBytes / 64)
        let needed = max(working, room.revocationBytes + working - freeBytes)
        let end = min(usage.highestBytes + needed, usage.mapBytes)
        let isHeld = hold(end, spare: space.availableBytes - disk.floorBytes)
        disk.heldBytes = max(0, allocatedBytes - usage.highestBytes)
        disk.isFull =
            !isHeld && canAllocate || disk.availableBytes < disk.floorBytes + (isHeld ? 0 : needed)
        return disk
    }

    private mutating func hold(_ end: Int, spare: Int) -> Bool {
        if end <= allocatedBytes { return true }
        guard canAllocate else { return false }
        let step = min(max(end / 64, Self.stepBytes.lowerBound), Self.stepBytes.upperBound)
        for bytes in end - allocatedBytes + step <= spare ? [end + step, end] : [end] {
            do throws(LMDBError) {
                try environment.allocate(bytes: bytes)
                allocatedBytes = bytes
                return true
            } catch .diskFull {
            } catch .system(let code) where DiskHold.isUnsupported(code) {
                canAllocate = false
                return false
            } catch {}
        }
        return false
    }

    /// ENOSYS and EOPNOTSUPP.
    private static func isUnsupported(_ code: Int32) -> Bool { code == 38 || code == 95 }
}
