import CredentialModel
import LMDB

/// Some entries of the journal in order, and where to continue.
public struct JournalPiece: Sendable {
    public var entries: [JournalEntry] = []
    /// Nothing is missing up to this number: pass it to the next read.
    public var next: UInt64
    /// Whether entries remain that this read did not reach.
    public var hasMore = false
}

/// One thread's way to follow the journal: it owns a read transaction that is renewed for each read.
///
/// Must not be used by two threads at once.
public final class JournalReader: @unchecked Sendable {
    /// Most rows that one read examines.
    private static let rowsMax = 4_096

    public enum Outcome: Sendable {
        case piece(JournalPiece)
        /// The entries after the number were removed, or it was never assigned in this incarnation.
        case gone
    }

    private let reader: Reader
    private let journal: AuthenticatedTable
    private let changes: ChangeSignal

    init(store: CredentialStore) throws(StoreFailure) {
        reader = try naming { () throws in try store.environment.makeReader() }
        journal = store.schema.journal
        changes = store.published.changes
    }

    /// Reads the entries after a number, as far as all readers of this process know of them (see ``ChangeSignal``).
    ///
    /// Includes every entry whose change was acknowledged before the call.
    /// - Parameters:
    ///   - issued: whether to include entries that invalidate nothing, such as issuance.
    ///   - limit: most entries to return.
    /// - Throws: ``StoreFailure``, also for a damaged entry, since it may record a revocation.
    @available(*, noasync)
    public func read(after number: UInt64, issued: Bool, limit: Int) throws(StoreFailure) -> Outcome {
        // Before the snapshot: everything published by now is in it.
        let newest = changes.newest
        guard number <= newest else { return .gone }
        var piece = JournalPiece(next: number)
        if number == newest || (!issued && changes.newestOther <= number) {
            piece.next = newest
            return .piece(piece)
        }
        var rows = 0
        var isGone = false
        try naming { () throws in
            try reader.read { (transaction) throws in
                try journal.scan(from: number + 1, in: transaction, reading: { JournalEntry(row: $1, number: $0) }) {
                    key, entry in
                    guard key <= newest else { return .stop }
                    guard rows < Self.rowsMax, piece.entries.count < limit else {
                        piece.hasMore = true
                        return .stop
                    }
                    // A restored store skips numbers and says so; otherwise a gap means that the first entries are missing.
                    if rows == 0, key != number + 1, entry.event != .restored {
                        isGone = true
                        return .stop
                    }
                    if issued || !entry.event.endsNothing { piece.entries.append(entry) }
                    rows += 1
                    piece.next = key
                    return .next
                }
            }
        }
        return isGone || rows == 0 ? .gone : .piece(piece)
    }
}

extension CredentialStore {
    /// Makes a reader of the journal for one thread.
    public func makeJournalReader() throws(StoreFailure) -> JournalReader {
        try JournalReader(store: self)
    }
}
