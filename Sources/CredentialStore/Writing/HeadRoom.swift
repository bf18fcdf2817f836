import LMDB
import Synchronization

// A map that is full must still take the revocation of everything that is in it, each by itself. Replacing a row copies
// pages, and each revocation adds to the journal and the audit log. So creates stop while the map still has
//
//     credentials × bytes of one revocation + pages that a commit works with
//
// left, where access tokens count for less. Rows stand for living credentials here: counting the living would take a scan, and there are never more of them.
//
// What a revocation may cost is kept low where room is short: the row keeps its length (see `StoreWriter.replace`), and for
// each entry that the journal gets, some of its oldest go. What stays is the audit entry, and for a refresh token the
// watermark of its family.

/// How much room the map has.
struct Room: Equatable, Sendable {
    var mapBytes = 0
    /// Rows of credentials and of tokens.
    var records = 0
    /// Bytes of pages that hold data.
    var occupiedBytes = 0
    /// Bytes that are kept for revocations, and for the pages that their commits copy.
    var reserveBytes = 0
    /// Bytes that the revocation of everything takes.
    var revocationBytes = 0

    /// What one revocation adds at most, in bytes. A refresh token, revoked by its id: two audit entries of 125, and its family's
    /// watermark, 75 to 90 on pages that are filled in no order. The journal gains up to 120, and loses more than that while it
    /// is long. `FullMapTests` revokes a map full of each kind.
    static let bytesPerRevocation = 320
    /// The same of an access token: one audit entry.
    static let bytesPerTokenRevocation = 160
    /// Pages that a commit or two copy before the old ones are free, and what the free list itself takes.
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

    /// Bytes that creates may still take; negative when they have stopped.
    var bytesForCreates: Int { mapBytes - occupiedBytes - reserveBytes }

    /// Creates are refused: what is left belongs to revocations.
    var isFull: Bool { bytesForCreates < 0 }

    /// Creates are about to be refused, or are. From here on revocations must not make rows longer, and the oldest journal
    /// entries go: a row that grows can split its page, and that costs far more than the reserve counts for it.
    var isPressed: Bool { bytesForCreates < pressedBytes }

    var pressedBytes: Int { max(64 << 10, mapBytes / 64) }

    /// Mutations that one transaction may have so that it takes a quarter of the free pages at most; nil while there is room.
    ///
    /// The pages that a commit frees are of use to the next but one only. A transaction that took all others would leave
    /// nothing to its successor, and no commit could ever free them.
    var mutationsMax: Int? {
        guard isPressed, mapBytes > 0 else { return nil }
        let pages = (mapBytes - occupiedBytes) / 4_096 / 4
        return max(1, (pages - Self.pagesPerCommit) / Self.pagesPerMutation)
    }

    /// Pages that a commit copies whatever it changes: the ends of journal and audit log, `meta`, names and free list.
    private static let pagesPerCommit = 16
    /// Pages that a revocation copies besides: the path to its row.
    private static let pagesPerMutation = 4

    /// Pages that hold data, in percent of the map.
    var usedPercent: Int { mapBytes > 0 ? occupiedBytes / max(mapBytes / 100, 1) : 100 }
}

/// What the writer thread has last found about the room in the map and on the disk, for everybody else.
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

    /// The writer thread has a revocation that finds no page: all free ones are needed by a snapshot. Whoever holds one for
    /// long gives it up.
    var isWaiting: Bool {
        get { waits.load(ordering: .relaxed) }
        set { waits.store(newValue, ordering: .relaxed) }
    }
}
