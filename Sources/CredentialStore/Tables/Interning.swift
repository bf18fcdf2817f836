import CredentialModel
public import LMDB
public import RecordCache
import Synchronization

/// Numbers of scope sets, audience sets, network sets and clients, on the writer thread.
///
/// A text is published to readers as soon as it has a number, before any record that refers to it can be committed. If
/// the transaction aborts, the number is not reused for another text.
final class Interning: Sendable {
    private struct State {
        var numbers: [[[UInt8]: UInt32]] = InternedTable.Kind.allCases.map { _ in [:] }
        var highest: [UInt32] = InternedTable.Kind.allCases.map { _ in 0 }
        /// Assigned in the current transaction.
        var pending: [(kind: InternedTable.Kind, text: [UInt8])] = []
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

    func assign(_ kind: InternedTable.Kind, _ text: [UInt8]) throws(StoreFailure) -> UInt32 {
        let number: UInt32? = state.withLock { state in
            guard state.highest[kind.rawValue] < Self.numberMax else { return nil }
            state.highest[kind.rawValue] += 1
            let number = state.highest[kind.rawValue]
            state.numbers[kind.rawValue][text] = number
            state.pending.append((kind, text))
            return number
        }
        guard let number else { throw .internedExhausted }
        table.publish(kind, number, text)
        return number
    }

    /// Loads a row at start.
    func load(_ kind: InternedTable.Kind, _ number: UInt32, _ text: [UInt8]) {
        state.withLock { state in
            state.numbers[kind.rawValue][text] = number
            state.highest[kind.rawValue] = max(state.highest[kind.rawValue], number)
        }
        table.publish(kind, number, text)
    }

    /// Loads the high-water mark at start: numbers up to it were assigned, even if they have no row.
    func load(highest: UInt32, of kind: InternedTable.Kind) {
        state.withLock { $0.highest[kind.rawValue] = max($0.highest[kind.rawValue], highest) }
    }

    func committed() {
        state.withLock { $0.pending.removeAll() }
    }

    func aborted() {
        state.withLock { state in
            for (kind, text) in state.pending { state.numbers[kind.rawValue][text] = nil }
            state.pending.removeAll()
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
        let number = try interning.assign(kind, text)
        noteChange()
        try schema.interned.put(TableKey.interned(UInt8(kind.rawValue), number), text, in: transaction)
        try setNumber(.internedHighest(kind), UInt64(number), in: transaction)
        return number
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
