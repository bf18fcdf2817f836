import CredentialModel
import LMDB

/// Some entries of the journal in order, and where to go on.
public struct JournalPiece: Sendable {
    public var entries: [JournalEntry] = []
    /// Up to here nothing is missing: the number to read behind next.
    public var next: UInt64
    /// Whether there was more than one read may look at.
    public var hasMore = false
}

/// One thread's way to follow the journal: a read transaction of its own, renewed for each read.
///
/// Not to be used by two threads at once.
public final class JournalReader: @unchecked Sendable {
    /// Rows that one read looks at, at most.
    private static let rowsMax = 4_096

    public enum Outcome: Sendable {
        case piece(JournalPiece)
        /// What lies behind the number is not there any more, or the number was never given in this life of the store.
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

    /// Reads what lies behind a number, as far as all readers of this process know of it (see ``ChangeSignal``).
    ///
    /// An entry whose change has been acknowledged before the call is among what is found.
    /// - Parameters:
    ///   - issued: whether entries are wanted that end nothing, such as those of births.
    ///   - limit: entries, at most.
    /// - Throws: ``StoreFailure``; a damaged entry is one as well, since it may say that something was revoked.
    @available(*, noasync)
    public func read(after number: UInt64, issued: Bool, limit: Int) throws(StoreFailure) -> Outcome {
        // Before the snapshot: what is published by now is in it.
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
                    // A restored store leaves numbers out, and says so; else the first are missing.
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
