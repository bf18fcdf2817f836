public import CredentialModel
public import CredentialStore
import RecordCache
import Synchronization

/// A change as reported to followers of the journal: ids, kinds and numbers, never an owner or a secret.
public struct JournalChange: Sendable, Equatable {
    public var number: UInt64
    public var event: String
    public var credential: CredentialID?
    public var kind: CredentialKind?
    public var clientID: String?
    public var family: UInt64?
    /// The change does not say which credentials it affects: followers must drop every cached answer.
    public var flush = false
    public var issuedBefore: UnixSeconds?
}

/// Consecutive changes of the journal.
public struct ChangePage: Sendable, Equatable {
    /// Of the store; numbers of different incarnations cannot be compared.
    public var incarnation: UInt64
    public var changes: [JournalChange]
    /// The number after which to continue.
    public var next: UInt64
    /// Whether there are changes behind it that this read did not reach. Few changes on a page say nothing of that.
    public var hasMore: Bool
}

/// Reads the journal for followers. Use one per process: the store has few reader slots.
public final class ChangeFeed: Sendable {
    private let store: CredentialStore
    private let reader: Mutex<JournalReader>

    /// - Throws: ``StoreFailure`` when no reader slot is left.
    public init(store: CredentialStore) throws(StoreFailure) {
        self.store = store
        reader = Mutex(try store.makeJournalReader())
    }

    /// The number of the newest published change.
    public var newest: UInt64 { store.published.changes.newest }

    /// The store's incarnation, which changes when a backup is restored.
    public var incarnation: UInt64 { store.incarnation }

    /// Reads the changes after a number. Blocks on the store; see ``Issuer/read(_:after:issued:limit:)``.
    /// - Parameters:
    ///   - issued: whether to include issuance.
    ///   - limit: the maximum number of changes to return.
    /// - Returns: nil if changes after `number` are no longer kept, or if the number was never assigned in this incarnation
    ///   of the store.
    @available(*, noasync)
    public func read(after number: UInt64, issued: Bool, limit: Int) throws(StoreFailure) -> ChangePage? {
        let outcome = try reader.withLock { (reader) throws(StoreFailure) in
            try reader.read(after: number, issued: issued, limit: limit)
        }
        guard case .piece(let piece) = outcome else { return nil }
        return ChangePage(
            incarnation: store.incarnation, changes: piece.entries.map { change($0) }, next: piece.next,
            hasMore: piece.hasMore)
    }

    /// Returns once something was published after `number`, or on cancellation. Issuance counts only if `issued` is true.
    public func waitForMore(than number: UInt64, issued: Bool) async {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let registration = Registration()
        let signal = store.published.changes
        signal.wakeOnce(ObjectIdentifier(registration), wantsIssued: issued) { continuation.yield() }
        // Checked after registering, since the signal wakes nobody for earlier changes (see `ChangeSignal`).
        // On a node of a fleet the number may be ahead, if it comes from another one.
        if signal.newest <= number { for await _ in stream { break } }
        signal.forget(ObjectIdentifier(registration))
    }

    /// Its address identifies one waiting caller.
    private final class Registration {}

    private func change(_ entry: JournalEntry) -> JournalChange {
        var change = JournalChange(number: entry.number, event: entry.event.name, issuedBefore: entry.issuedBefore)
        switch entry.target {
        case .credential(let id, let kind): (change.credential, change.kind) = (id, kind)
        case .client(let number):
            change.clientID = store.published.interned.withText(.client, number) {
                String(decoding: $0.copied(), as: UTF8.self)
            }
        case .clientID(let text): change.clientID = String(decoding: text, as: UTF8.self)
        case .family(let number): change.family = number
        case .everything: change.flush = true
        case .nothing: break
        }
        return change
    }
}

extension Issuer {
    /// Reads the changes after a number, off the cooperative threads; see ``ChangeFeed/read(after:issued:limit:)``.
    public func read(
        _ feed: ChangeFeed, after number: UInt64, issued: Bool, limit: Int
    ) async throws(IssuanceError) -> ChangePage? {
        try await offThread(.lookUp) { _ in try feed.read(after: number, issued: issued, limit: limit) }
    }
}
