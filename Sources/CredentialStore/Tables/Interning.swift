import CredentialModel
public import LMDB
public import RecordCache
import Synchronization

/// Numbers of scope sets, audience sets, network sets and clients, on the writer thread.
///
/// Readers get the texts of a transaction when all its mutations have run and, if the store has a log, the log has taken
/// it: from then on it is not repeated, and nobody else gives the same number to another text. Not after the commit:
/// from then on a snapshot has records that refer to the text, and a reader without it would take a limit for none.
///
/// A transaction that is repeated forgets its numbers, and the next one assigns them again.
final class Interning: Sendable {
    private struct State {
        var numbers: [[[UInt8]: UInt32]] = InternedTable.Kind.allCases.map { _ in [:] }
        var highest: [UInt32] = InternedTable.Kind.allCases.map { _ in 0 }
        /// The highest numbers before the current transaction.
        var highestBefore: [UInt32] = InternedTable.Kind.allCases.map { _ in 0 }
        /// Assigned in the current transaction.
        var pending: [[UInt32: [UInt8]]] = InternedTable.Kind.allCases.map { _ in [:] }
        /// Whether readers have the pending texts.
        var isPublished = false

        mutating func endTransaction() {
            highestBefore = highest
            for kind in pending.indices { pending[kind].removeAll() }
            isPublished = false
        }
    }

    private let state = Mutex(State())
    private let table: InternedTable
    private static let numberMax: UInt32 = 4_000_000

    init(table: InternedTable) {
        self.table = table
    }

    func number(_ kind: InternedTable.Kind, _ text: [UInt8]) -> UInt32? {
        state.withLock { $0.numbers[kind.rawValue][text] }
    }

    /// The next number of a kind; nil when they are used up.
    func nextNumber(_ kind: InternedTable.Kind) -> UInt32? {
        state.withLock { $0.highest[kind.rawValue] < Self.numberMax ? $0.highest[kind.rawValue] + 1 : nil }
    }

    /// The text of a number, also if it was assigned in the current transaction.
    func text(_ kind: InternedTable.Kind, _ number: UInt32) -> [UInt8] {
        let pending = state.withLock { $0.pending[kind.rawValue][number] }
        return pending ?? table.withText(kind, number) { $0.copied() }
    }

    /// Assigns a number in the current transaction.
    /// - Returns: false for a number that is not above all others of its kind.
    func assign(_ kind: InternedTable.Kind, _ number: UInt32, _ text: [UInt8]) -> Bool {
        state.withLock { state in
            guard number > state.highest[kind.rawValue], number <= Self.numberMax else { return false }
            state.highest[kind.rawValue] = number
            state.numbers[kind.rawValue][text] = number
            state.pending[kind.rawValue][number] = text
            return true
        }
    }

    /// Loads a row at start.
    func load(_ kind: InternedTable.Kind, _ number: UInt32, _ text: [UInt8]) {
        state.withLock { state in
            state.numbers[kind.rawValue][text] = number
            state.highest[kind.rawValue] = max(state.highest[kind.rawValue], number)
            state.highestBefore = state.highest
        }
        table.publish(kind, number, text)
    }

    /// Loads the high-water mark at start: numbers up to it were assigned, even if they have no row.
    func load(highest: UInt32, of kind: InternedTable.Kind) {
        state.withLock { state in
            state.highest[kind.rawValue] = max(state.highest[kind.rawValue], highest)
            state.highestBefore = state.highest
        }
    }

    /// Gives the transaction's texts to readers. Call it before the commit, when the transaction is not repeated.
    func publish() {
        let pending = state.withLock { state in
            state.isPublished = true
            return state.pending
        }
        for kind in InternedTable.Kind.allCases {
            for (number, text) in pending[kind.rawValue] { table.publish(kind, number, text) }
        }
    }

    func committed() {
        state.withLock { $0.endTransaction() }
    }

    /// Forgets the transaction's numbers. If readers already have their texts, because the commit itself failed, the
    /// numbers are not assigned again: a published text never changes.
    func aborted() {
        state.withLock { state in
            for kind in state.pending.indices {
                for text in state.pending[kind].values { state.numbers[kind][text] = nil }
            }
            if !state.isPublished { state.highest = state.highestBefore }
            state.endTransaction()
        }
    }
}

extension StoreWriter {
    /// The number of a text, assigned now if it is new.
    public func intern(
        _ kind: InternedTable.Kind, _ text: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> UInt32 {
        if text.isEmpty { return 0 }
        if let number = interning.number(kind, text) { return number }
        guard let number = interning.nextNumber(kind) else { throw .internedExhausted }
        try perform(.text(kind, number, text), in: transaction)
        return number
    }

    /// The text of a number as this transaction sees it. Readers may not have it yet: use this and not
    /// ``Published/interned`` inside a transaction.
    public func text(_ kind: InternedTable.Kind, _ number: UInt32) -> [UInt8] {
        number == 0 ? [] : interning.text(kind, number)
    }

    func putText(
        _ kind: InternedTable.Kind, _ number: UInt32, _ text: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        guard interning.assign(kind, number, text) else { throw .log(.diverged(.numberTaken)) }
        try schema.interned.put(TableKey.interned(UInt8(kind.rawValue), number), text, in: transaction)
        try setNumber(.internedHighest(kind), UInt64(number), in: transaction)
    }
}

/// A row of `interned`.
struct InternedText {
    let kind: InternedTable.Kind
    let number: UInt32
    let text: [UInt8]

    init?(key: RawSpan, text: RawSpan) {
        guard key.byteCount == 9, let kind = InternedTable.Kind(rawValue: Int(key.byte(at: 0))),
            let number = TableKey.lastNumber(key)
        else { return nil }
        self.kind = kind
        self.number = UInt32(truncatingIfNeeded: number)
        self.text = text.copied()
    }
}
