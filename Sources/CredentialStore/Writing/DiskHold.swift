import LMDB

// A disk that is full must still take the revocation of everything that is in the store. So the store takes the blocks that
// revocations may need ahead of time, behind the end of its file: what is taken already nobody else can use up. Whatever
// creates, and whatever the store writes for itself (last uses, re-tags), stops while the disk still has a floor of free
// space, and where those blocks cannot be had.
//
// Where the file system cannot take blocks ahead (ZFS), creates stop earlier instead: at the floor and all that revocations
// may need. That space others can use up, which is why such a store should have a reservation there.

/// What the disk has left, as far as the store cares.
struct DiskRoom: Equatable, Sendable {
    /// Bytes that anybody may still take.
    var availableBytes = 0
    /// Creates stop below so many.
    var floorBytes = 0
    /// Blocks behind the last page in use that are the store's already.
    var heldBytes = 0
    /// Creates are refused.
    var isFull = false
}

/// Holds space on the disk for revocations. On the writer thread only.
struct DiskHold {
    private let environment: Environment
    /// The file has blocks up to here.
    private var allocatedBytes = 0
    private var canAllocate = true

    /// The floor is a twentieth of a small disk and this on a large one.
    private static let floorBytesMax = 64 << 20
    /// Pages that commits copy before the old ones are free, at least.
    private static let workingBytesMin = 256 << 10
    /// How much more is taken at once, so that not every commit asks the file system.
    private static let stepBytes = (256 << 10)...(64 << 20)

    init(_ environment: Environment) {
        self.environment = environment
    }

    /// Takes what the store's revocations need now, and finds whether creates may go on. Costs a system call or two.
    mutating func prepare(for room: Room) -> DiskRoom {
        var disk = DiskRoom()
        guard let space = try? environment.diskSpace(), let usage = try? environment.usage() else { return disk }
        disk.availableBytes = space.availableBytes
        disk.floorBytes = min(Self.floorBytesMax, space.totalBytes / 20)
        // Free pages of the file have blocks; what they do not offer must lie behind its end.
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
