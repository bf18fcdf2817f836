import CredentialModel
import RecordCache

/// How a watermark lies in its table: kind and exact subject as the key, two numbers as the value.
enum WatermarkRow {
    static func key(_ subject: WatermarkSubject) -> [UInt8] {
        switch subject {
        case .owner(let owner): [1] + owner
        case .client(let number): numbered(2, UInt64(number))
        case .family(let number): numbered(3, number)
        }
    }

    private static func numbered(_ kind: UInt8, _ number: UInt64) -> [UInt8] {
        var key: [UInt8] = [kind]
        key.append(bigEndian: number)
        return key
    }

    static func subject(_ key: RawSpan) -> WatermarkSubject? {
        guard key.byteCount >= 1 else { return nil }
        switch key.byte(at: 0) {
        case 1: return .owner(key.extracting(1...).copied())
        case 2 where key.byteCount == 9: return TableKey.lastNumber(key).map { .client(UInt32(truncatingIfNeeded: $0)) }
        case 3 where key.byteCount == 9: return TableKey.lastNumber(key).map { .family($0) }
        default: return nil
        }
    }

    static func row(_ watermark: Watermark) -> [UInt8] {
        var row: [UInt8] = []
        row.append(word64: watermark.journalNumber)
        row.append(word64: UInt64(bitPattern: watermark.issuedBefore.rawValue))
        return row
    }

    static func watermark(_ row: RawSpan) -> Watermark? {
        guard row.byteCount == 16 else { return nil }
        return Watermark(
            journalNumber: row.word64(at: 0), issuedBefore: UnixSeconds(Int64(bitPattern: row.word64(at: 8))))
    }

    /// What the journal calls it.
    static func event(_ subject: WatermarkSubject) -> (JournalEntry.Event, [UInt8]) {
        switch subject {
        case .owner(let owner): (.ownerRevoked, owner)
        case .client(let number): (.clientRevoked, Array("\(number)".utf8))
        case .family(let number): (.familyRevoked, Array("\(number)".utf8))
        }
    }
}
