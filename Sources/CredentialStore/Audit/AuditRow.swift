import CredentialModel

/// Encodes an audit entry for its table: its hash, and the content that is hashed.
///
/// ```
/// 0..31 hash   32... fields, each: 1 byte type, 4 bytes length, value
/// ```
///
/// Unknown fields of later versions are skipped when decoding, but hashed.
enum AuditRow {
    static let hashBytes = 32

    private enum Field: UInt8 {
        case time = 1
        case actor = 2
        case action = 3
        case journalNumber = 4
        case credentials = 5
        case clientID = 6
        case owner = 7
        case issuedBefore = 8
        case pepper = 9
        case changed = 10
    }

    /// Everything but the hash.
    static func content(
        _ deed: AuditDeed, by actor: AuditActor, at time: UnixSeconds, journalNumber: UInt64
    ) -> [UInt8] {
        var row: [UInt8] = []
        row.reserveCapacity(96 + deed.credentials.count * 8)
        func field(_ field: Field, bytes count: Int, _ write: (inout [UInt8]) -> Void) {
            row.append(field.rawValue)
            row.append(word32: UInt32(truncatingIfNeeded: count))
            write(&row)
        }
        func text(_ name: Field, _ text: String) {
            field(name, bytes: text.utf8.count) { $0.append(contentsOf: text.utf8) }
        }
        func number(_ name: Field, _ number: UInt64) {
            field(name, bytes: 8) { $0.append(word64: number) }
        }
        number(.time, UInt64(bitPattern: time.rawValue))
        text(.actor, actorText(actor))
        field(.action, bytes: 1) { $0.append(deed.action.rawValue) }
        number(.journalNumber, journalNumber)
        if !deed.credentials.isEmpty {
            field(.credentials, bytes: deed.credentials.count * 8) { row in
                for id in deed.credentials { row.append(word64: id.rawValue) }
            }
        }
        if let clientID = deed.clientID { text(.clientID, clientID) }
        if let owner = deed.owner { text(.owner, owner) }
        if let limit = deed.issuedBefore { number(.issuedBefore, UInt64(bitPattern: limit.rawValue)) }
        if let pepper = deed.pepper { number(.pepper, UInt64(pepper)) }
        if !deed.changed.isEmpty { text(.changed, deed.changed.joined(separator: " ")) }
        return row
    }

    /// Nil for a damaged row, and for an action or actor of a later version.
    static func entry(_ row: RawSpan, number: UInt64) -> AuditEntry? {
        guard row.byteCount >= hashBytes else { return nil }
        var time: UnixSeconds?
        var actor: AuditActor?
        var action: AuditAction?
        var journalNumber: UInt64?
        var deed = AuditDeed(.keysCreated)
        var offset = hashBytes
        while offset < row.byteCount {
            guard offset + 5 <= row.byteCount else { return nil }
            let field = Field(rawValue: row.byte(at: offset))
            let end = offset + 5 + Int(row.word32(at: offset + 1))
            guard end <= row.byteCount else { return nil }
            let value = row.extracting((offset + 5)..<end)
            switch field {
            case .time: time = self.number(value).map { UnixSeconds(Int64(bitPattern: $0)) }
            case .actor: actor = Self.actor(text(value))
            case .action: action = value.byteCount == 1 ? AuditAction(rawValue: value.byte(at: 0)) : nil
            case .journalNumber: journalNumber = self.number(value)
            case .credentials:
                guard value.byteCount.isMultiple(of: 8) else { return nil }
                deed.credentials = stride(from: 0, to: value.byteCount, by: 8).map {
                    CredentialID(rawValue: value.word64(at: $0))
                }
            case .clientID: deed.clientID = text(value)
            case .owner: deed.owner = text(value)
            case .issuedBefore: deed.issuedBefore = self.number(value).map { UnixSeconds(Int64(bitPattern: $0)) }
            case .pepper: deed.pepper = self.number(value).flatMap { UInt16(exactly: $0) }
            case .changed: deed.changed = text(value).split(separator: " ").map(String.init)
            case nil: break
            }
            offset = end
        }
        guard let time, let actor, let action, let journalNumber else { return nil }
        deed.action = action
        return AuditEntry(
            number: number, time: time, actor: actor, deed: deed, journalNumber: journalNumber,
            hash: row.extracting(0..<hashBytes).copied())
    }

    private static func text(_ value: RawSpan) -> String { String(decoding: value.copied(), as: UTF8.self) }

    private static func number(_ value: RawSpan) -> UInt64? { value.byteCount == 8 ? value.word64(at: 0) : nil }

    private static func actorText(_ actor: AuditActor) -> String {
        switch actor {
        case .program, .command, .controlSocket(nil): actor.name
        case .controlSocket(let user?): "\(actor.name) \(user)"
        case .credential(let id): "\(actor.name) \(id)"
        case .client(let clientID): "\(actor.name) \(clientID)"
        }
    }

    private static func actor(_ text: String) -> AuditActor? {
        let words = text.split(separator: " ", maxSplits: 1).map(String.init)
        switch (words.first, words.count) {
        case ("program", 1): return .program
        case ("control_socket", 1): return .controlSocket(user: nil)
        case ("control_socket", 2): return UInt32(words[1]).map { .controlSocket(user: $0) }
        case ("command", 1): return .command
        case ("credential", 2): return CredentialID(words[1]).map { .credential($0) }
        case ("client", 2): return .client(words[1])
        default: return nil
        }
    }
}
