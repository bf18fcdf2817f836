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
    /// All answers must be dropped, because this does not say which ones are affected.
    public var flush = false
    public var issuedBefore: UnixSeconds?
}

/// Some changes in order.
public struct ChangePage: Sendable, Equatable {
    public var incarnation: UInt64
    public var changes: [JournalChange]
    /// The number after which to continue.
    public var next: UInt64
}

/// Follows the journal for administration. Use one per process: the store's reader slots are few.
public final class ChangeFeed: Sendable {
    private let store: CredentialStore
    private let reader: Mutex<JournalReader>

    /// - Throws: ``StoreFailure`` when no reader slot is left.
    public init(store: CredentialStore) throws(StoreFailure) {
        self.store = store
        reader = Mutex(try store.makeJournalReader())
    }

    /// The end of the journal, as far as it may be announced.
    public var newest: UInt64 { store.published.changes.newest }

    public var incarnation: UInt64 { store.incarnation }

    /// Reads the changes after a number.
    /// - Parameters:
    ///   - issued: whether to include issuance.
    ///   - limit: most changes to return.
    /// - Returns: nil when the changes after it were removed, or it was never assigned in this incarnation of the store.
    @available(*, noasync)
    public func read(after number: UInt64, issued: Bool, limit: Int) throws(StoreFailure) -> ChangePage? {
        let outcome = try reader.withLock { (reader) throws(StoreFailure) in
            try reader.read(after: number, issued: issued, limit: limit)
        }
        guard case .piece(let piece) = outcome else { return nil }
        return ChangePage(
            incarnation: store.incarnation, changes: piece.entries.map { change($0) }, next: piece.next)
    }

    /// Returns when something was published since `number`, or on cancellation. Issuance alone counts only with `issued`.
    public func waitForMore(than number: UInt64, issued: Bool) async {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let sleeper = Sleeper()
        let signal = store.published.changes
        signal.wakeOnce(ObjectIdentifier(sleeper), wantsIssued: issued) { continuation.yield() }
        // Checked after registering: earlier changes wake nobody (see `ChangeSignal`).
        if signal.newest == number { for await _ in stream { break } }
        signal.forget(ObjectIdentifier(sleeper))
    }

    private final class Sleeper {}

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
    /// Reads the changes after a number, off the cooperative threads.
    public func read(
        _ feed: ChangeFeed, after number: UInt64, issued: Bool, limit: Int
    ) async throws(IssuanceError) -> ChangePage? {
        try await offThread(.lookUp) { _ in try feed.read(after: number, issued: issued, limit: limit) }
    }
}
