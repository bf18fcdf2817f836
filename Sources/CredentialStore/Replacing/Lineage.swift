import CredentialModel
import LMDB

// Each restore makes another incarnation, which goes on from the backup. What the old incarnation did after that backup is
// not part of the new one: it knows neither the credentials made there nor that they were revoked. A backup of the old
// incarnation from that later time can still exist, and the list of the new store must not be taken for complete for it:
//
// ```
// incarnation 7   ──── 100 ──────────── 250 ───→          250: a backup with a key that is revoked at 260
//                       └─ restored as
// incarnation 8            ──── 300 ────────────→          its list does not have that key
// ```
//
// So a store records from which incarnations it came and at which journal number it left each of them, the list of
// revocations says so, and a restore holds the backup against it.

/// The incarnations through which a store has come.
struct Lineage: Sendable, Equatable {
    struct Ancestor: Sendable, Equatable {
        var incarnation: UInt64
        /// The journal number of the backup with which the next incarnation began.
        var journalNumber: UInt64
    }

    var incarnation: UInt64
    /// The oldest first. Restores by versions that did not record them are missing.
    var ancestors: [Ancestor]

    /// Whether a list of revocations from this store has what was ended since a backup.
    /// - Parameters:
    ///   - number: the backup's journal number.
    ///   - origin: the first incarnation of both.
    func covers(_ backup: Lineage, at number: UInt64, origin: UInt64) -> Bool {
        if backup.incarnation == incarnation { return true }
        if let ancestor = ancestors.last(where: { $0.incarnation == backup.incarnation }) {
            return number <= ancestor.journalNumber
        }
        // A list from before a restore, for a backup from after it: there is nothing in it that the backup lacks.
        if backup.ancestors.contains(where: { $0.incarnation == incarnation }) { return true }
        // A backup that descends from what is recorded would be recorded itself.
        let recorded = Set(ancestors.map(\.incarnation))
        if backup.ancestors.contains(where: { recorded.contains($0.incarnation) }) { return false }
        // An unknown incarnation is another branch, unless it could be an ancestor that was not recorded.
        return (ancestors.first?.incarnation ?? incarnation) != origin
    }
}

extension Lineage {
    /// As a line of a list of revocations:
    ///
    /// ```
    /// incarnation 8 7:100
    /// ```
    var line: String {
        let words = ancestors.map { " \($0.incarnation):\($0.journalNumber)" }
        return "incarnation \(incarnation)\(words.joined())\n"
    }

    init?(words: [String]) {
        guard words.count >= 2, words[0] == "incarnation", let incarnation = UInt64(words[1]) else { return nil }
        self.incarnation = incarnation
        ancestors = []
        for word in words.dropFirst(2) {
            let parts = word.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, let ancestor = UInt64(parts[0]), let number = UInt64(parts[1]) else { return nil }
            ancestors.append(Ancestor(incarnation: ancestor, journalNumber: number))
        }
    }

    /// Reads the `meta` table.
    init(
        of meta: MetaTable, in transaction: borrowing some ReadableTransaction & ~Copyable
    ) throws(StoreFailure) {
        incarnation = try meta.number(.incarnation, in: transaction) ?? 0
        ancestors = []
        let row = try meta.value(.ancestors, in: transaction) ?? []
        guard row.count.isMultiple(of: 16) else { throw .corrupt(table: "meta") }
        for offset in stride(from: 0, to: row.count, by: 16) {
            ancestors.append(
                Ancestor(
                    incarnation: row.octets.word64(at: offset), journalNumber: row.octets.word64(at: offset + 8)))
        }
    }

    /// The row of `meta` for the next incarnation, which begins with this one's data.
    func row(endingAt number: UInt64) -> [UInt8] {
        var row: [UInt8] = []
        for ancestor in ancestors + [Ancestor(incarnation: incarnation, journalNumber: number)] {
            row.append(word64: ancestor.incarnation)
            row.append(word64: ancestor.journalNumber)
        }
        return row
    }
}
