import LMDB
import Synchronization

// Even in a full map it must be possible to revoke everything, each credential by itself. Replacing a row copies pages,
// and each revocation adds to the journal and the audit log. So creates stop while the map still has
//
//     credentials × bytes of one revocation + pages that a commit works with
//
// left, with a smaller size for access tokens. All rows count, because finding the valid ones would need a scan.
//
// When room is short, revocations are kept cheap: the row keeps its length (see `StoreWriter.replace`), and for each
// new journal entry some of the oldest are removed. What remains is the audit entry, and a refresh token's family
// watermark.

/// The room in the map.
struct Room: Equatable, Sendable {
    var mapBytes = 0
    /// Rows of credentials and of tokens.
    var records = 0
    /// Bytes of pages that hold data.
    var occupiedBytes = 0
    /// Bytes reserved for revocations, and for the pages that their commits copy.
    var reserveBytes = 0
    /// Bytes needed to revoke everything.
    var revocationBytes = 0

    /// The most that one revocation adds, in bytes. The worst case is a refresh token revoked by its id: two audit
    /// entries of 125, and its family's watermark of 75 to 90, inserted in random order. The journal gains up to 120,
    /// but loses more while it is long. A key without an expiry adds one audit entry and up to 60 for an entry in the
    /// expiry index. `FullMapTests` revokes a full map of each kind.
    static let bytesPerRevocation = 320
    /// The same for an access token: one audit entry.
    static let bytesPerTokenRevocation = 160
    /// Pages that a commit or two copy before the old ones become free, and the free list itself.
    private static let workingBytesMin = 256 << 10

    init() {}

    init(mapBytes: Int, occupiedBytes: Int, credentials: Int, tokens: Int) {
        self.mapBytes = mapBytes
        self.occupiedBytes = occupiedBytes
        records = credentials &+ tokens
        let working = max(Self.workingBytesMin, mapBytes / 64)
        // Row counts of a store that LMDB can hold do not overflow.
        let revocations = credentials &* Self.bytesPerRevocation &+ tokens &* Self.bytesPerTokenRevocation
        revocationBytes = min(max(revocations, 0), mapBytes - working)
        reserveBytes = revocationBytes + working
    }

    /// Bytes that creates may still use; negative when they are refused.
    var bytesForCreates: Int { mapBytes - occupiedBytes - reserveBytes }

    /// Creates are refused: the rest is reserved for revocations.
    var isFull: Bool { bytesForCreates < 0 }

    /// Creates are refused, or soon will be. From here on revocations must not make rows longer, and the oldest journal
    /// entries are removed: a row that grows can split its page, which costs far more than the reserve allows for it.
    var isUnderPressure: Bool { bytesForCreates < pressureBytes }

    var pressureBytes: Int { max(64 << 10, mapBytes / 64) }

    /// Most mutations of one transaction, so that it uses at most a quarter of the free pages; nil while there is room.
    ///
    /// Pages that a commit frees become usable only by the commit after the next one. A transaction that used all
    /// others would leave none to its successor, and no commit could ever free them.
    var mutationsMax: Int? {
        guard isUnderPressure, mapBytes > 0 else { return nil }
        let pages = (mapBytes - occupiedBytes) / 4_096 / 4
        return max(1, (pages - Self.pagesPerCommit) / Self.pagesPerMutation)
    }

    /// Pages that every commit copies: the ends of journal and audit log, `meta`, names and free list.
    private static let pagesPerCommit = 16
    /// Additional pages that a revocation copies: the path to its row, and a page of the expiry index.
    private static let pagesPerMutation = 5

    /// Pages that hold data, in percent of the map.
    var usedPercent: Int { mapBytes > 0 ? occupiedBytes / max(mapBytes / 100, 1) : 100 }
}

/// The last known room in the map and on the disk, shared with other threads.
final class HeadRoom: Sendable {
    private let last = Mutex(Room())
    private let lastDisk = Mutex(DiskRoom())
    private let waits = Atomic<Bool>(false)

    /// As of the last commit.
    var room: Room {
        get { last.withLock { $0 } }
        set { last.withLock { $0 = newValue } }
    }

    /// As of the last batch.
    var disk: DiskRoom {
        get { lastDisk.withLock { $0 } }
        set { lastDisk.withLock { $0 = newValue } }
    }

    /// A revocation finds no page because snapshots hold all free ones. Whoever has held one for long must release it.
    var isWaiting: Bool {
        get { waits.load(ordering: .relaxed) }
        set { waits.store(newValue, ordering: .relaxed) }
    }
}

// Even on a full disk it must be possible to revoke everything in the store. So the store allocates the blocks that
// revocations may need in advance, beyond the end of its data: blocks already allocated cannot be used up by others.
// Creates, and the store's own writes (last uses, re-tags), stop while the disk still has a minimum of free space, or
// if those blocks cannot be allocated.
//
// If the file system cannot allocate in advance (ZFS), creates stop earlier: at that minimum plus all that revocations
// may need. Others can use up that space, so such a store should have a reservation there.

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
    /// Where the log is, if there is too little space for it; then creates are refused as well.
    var fullLogDirectory: String?
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

    /// Reserves what the store's revocations now need, and decides whether creates may continue. Costs a system call or
    /// two.
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
