import CredentialModel

/// A credential's row as its difference from another one.
///
/// It knows the header's fields and that claims follow, but no claim: a new claim is covered without a change here.
enum RowDifference {
    /// What both sides know when they come to a row.
    struct Context {
        /// The time of the transaction.
        let now: UnixSeconds
        /// The last ids and other numbers of eight bytes, the newest first.
        private var recent: [UInt64] = []

        private static let recentMax = 16

        init(now: UnixSeconds) {
            self.now = now
        }

        mutating func note(_ number: UInt64) {
            if recent.count == Self.recentMax { recent.removeLast() }
            recent.insert(number, at: 0)
        }

        func place(of number: UInt64) -> Int? { recent.firstIndex(of: number) }

        func number(at place: UInt64) throws(StoreFailure) -> UInt64 {
            guard place < UInt64(recent.count) else { throw .log(.malformed) }
            return recent[Int(place)]
        }

        /// Appends 1 and a place, or 0 and the id.
        mutating func append(id: UInt64, _ bytes: inout [UInt8]) {
            if let place = place(of: id) {
                bytes.append(UInt8(place + 1))
            } else {
                bytes.append(0)
                bytes.append(word64: id)
                note(id)
            }
        }

        mutating func id(_ bytes: inout ByteReader) throws(StoreFailure) -> UInt64 {
            let place = try bytes.byte()
            if place > 0 { return try number(at: UInt64(place) - 1) }
            let id = try bytes.word64()
            note(id)
            return id
        }
    }

    private struct Field {
        let offset: Int
        let byteCount: Int
        var isTime = false
    }

    /// The fields of the header, in the order of the mask's bits. The last two bits are for the tag and the claims.
    private static let fields = [
        Field(offset: 0, byteCount: 1), Field(offset: 1, byteCount: 1), Field(offset: RowLayout.pepper, byteCount: 2),
        Field(offset: RowLayout.flags, byteCount: 2), Field(offset: RowLayout.endedBy, byteCount: 2),
        Field(offset: RowLayout.issuedAt, byteCount: 8, isTime: true),
        Field(offset: RowLayout.expiresAt, byteCount: 8, isTime: true),
        Field(offset: RowLayout.journalNumber, byteCount: 8), Field(offset: RowLayout.client, byteCount: 4),
        Field(offset: RowLayout.scopes, byteCount: 4), Field(offset: RowLayout.audiences, byteCount: 4),
        Field(offset: RowLayout.networks, byteCount: 4),
    ]
    private static let tagBit: UInt64 = 1 << 12
    private static let claimsBit: UInt64 = 1 << 13
    private static let tagEnd = RowLayout.headerBytes

    /// What the first row of a transaction differs from.
    static let blank = [UInt8](repeating: 0, count: RowLayout.headerBytes)

    /// Appends what must be done to `old` to get `new`. Both are whole rows.
    static func append(from old: [UInt8], to new: [UInt8], _ context: inout Context, _ bytes: inout [UInt8]) {
        var mask: UInt64 = 0
        for (bit, field) in fields.enumerated() where value(old, field) != value(new, field) { mask |= 1 << bit }
        if old[RowLayout.tag..<tagEnd] != new[RowLayout.tag..<tagEnd] { mask |= tagBit }
        if old[tagEnd...] != new[tagEnd...] { mask |= claimsBit }
        bytes.append(varint: mask)
        for (bit, field) in fields.enumerated() where mask & 1 << bit != 0 {
            let value = value(new, field)
            bytes.append(varint: field.isTime ? zigzag(Int64(bitPattern: value) &- context.now.rawValue) : value)
        }
        if mask & tagBit != 0 { bytes.append(contentsOf: new[RowLayout.tag..<tagEnd]) }
        if mask & claimsBit != 0 { appendClaims(from: claims(old), to: claims(new), &context, &bytes) }
    }

    /// The row that differs from `old` by what the bytes say.
    static func apply(
        to old: [UInt8], _ context: inout Context, _ bytes: inout ByteReader
    ) throws(StoreFailure) -> [UInt8] {
        let mask = try bytes.varint()
        guard mask < claimsBit << 1 else { throw .log(.formatTooNew) }
        var new = Array(old[..<RowLayout.headerBytes])
        for (bit, field) in fields.enumerated() where mask & 1 << bit != 0 {
            let number = try bytes.varint()
            let value = field.isTime ? UInt64(bitPattern: unzigzag(number) &+ context.now.rawValue) : number
            for index in 0..<field.byteCount {
                new[field.offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
            }
        }
        if mask & tagBit != 0 { new.replaceSubrange(RowLayout.tag..<tagEnd, with: try bytes.take(32)) }
        guard mask & claimsBit != 0 else { return new + old[tagEnd...] }
        for claim in try readClaims(from: claims(old), &context, &bytes) {
            new.append(claim.type)
            new.append(word16: UInt16(clamping: claim.value.count))
            new += claim.value
        }
        return new
    }

    private static func value(_ row: [UInt8], _ field: Field) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<field.byteCount { value |= UInt64(row[field.offset + index]) << (8 * index) }
        return value
    }

    // MARK: Claims

    private struct Claim: Equatable {
        let type: UInt8
        let value: [UInt8]
    }

    private static func claims(_ row: [UInt8]) -> [Claim] {
        var claims: [Claim] = []
        var offset = RowLayout.headerBytes
        while offset + 3 <= row.count {
            let end = min(offset + 3 + Int(row.octets.word16(at: offset + 1)), row.count)
            claims.append(Claim(type: row[offset], value: Array(row[(offset + 3)..<end])))
            offset = end
        }
        return claims
    }

    // All claims of the new row, each as its type and a form. A number of eight bytes has the shortest of three:
    //
    //     0      the same value as in the old row
    //     1      eight bytes, of which as many follow as the next byte says, and zeros
    //     2      a time: its distance from that of the transaction follows
    //     3      a recent number: its place follows
    //     4 + n  n bytes follow
    private enum Form {
        static let same: UInt8 = 0
        static let number: UInt8 = 1
        static let time: UInt8 = 2
        static let recent: UInt8 = 3
        static let bytes: UInt64 = 4
    }

    private static func appendClaims(
        from old: [Claim], to new: [Claim], _ context: inout Context, _ bytes: inout [UInt8]
    ) {
        bytes.append(varint: UInt64(new.count))
        for claim in new {
            bytes.append(claim.type)
            if old.first(where: { $0.type == claim.type }) == claim {
                bytes.append(Form.same)
            } else if claim.value.count == 8 {
                append(number: claim.value.octets.word64(at: 0), &context, &bytes)
            } else {
                bytes.append(varint: UInt64(claim.value.count) + Form.bytes)
                bytes += claim.value
            }
        }
    }

    private static func append(number: UInt64, _ context: inout Context, _ bytes: inout [UInt8]) {
        let byteCount = (64 - number.leadingZeroBitCount + 7) / 8
        var distance: [UInt8] = []
        distance.append(varint: zigzag(Int64(bitPattern: number) &- context.now.rawValue))
        if byteCount > 1, let place = context.place(of: number) {
            bytes += [Form.recent, UInt8(place)]
        } else if distance.count <= byteCount {
            bytes.append(Form.time)
            bytes += distance
        } else {
            bytes += [Form.number, UInt8(byteCount)]
            for index in 0..<byteCount { bytes.append(UInt8(truncatingIfNeeded: number >> (8 * index))) }
            if byteCount == 8 { context.note(number) }
        }
    }

    private static func readClaims(
        from old: [Claim], _ context: inout Context, _ bytes: inout ByteReader
    ) throws(StoreFailure) -> [Claim] {
        let count = try bytes.varint()
        guard count <= 256 else { throw .log(.malformed) }
        var claims: [Claim] = []
        for _ in 0..<count {
            let type = try bytes.byte()
            let form = try bytes.varint()
            switch form {
            case UInt64(Form.same):
                guard let claim = old.first(where: { $0.type == type }) else { throw .log(.malformed) }
                claims.append(claim)
            case UInt64(Form.number), UInt64(Form.time), UInt64(Form.recent):
                var value: [UInt8] = []
                value.append(word64: try readNumber(UInt8(form), &context, &bytes))
                claims.append(Claim(type: type, value: value))
            default:
                guard form - Form.bytes <= UInt64(UInt16.max) else { throw .log(.malformed) }
                claims.append(Claim(type: type, value: try bytes.take(Int(form - Form.bytes))))
            }
        }
        return claims
    }

    private static func readNumber(
        _ form: UInt8, _ context: inout Context, _ bytes: inout ByteReader
    ) throws(StoreFailure) -> UInt64 {
        if form == Form.recent { return try context.number(at: try bytes.varint()) }
        if form == Form.time {
            return UInt64(bitPattern: unzigzag(try bytes.varint()) &+ context.now.rawValue)
        }
        let byteCount = Int(try bytes.byte())
        guard byteCount <= 8 else { throw .log(.malformed) }
        var number: UInt64 = 0
        for (index, byte) in try bytes.take(byteCount).enumerated() { number |= UInt64(byte) << (8 * index) }
        if byteCount == 8 { context.note(number) }
        return number
    }

    /// Small numbers of either sign as small unsigned numbers.
    private static func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: value << 1 ^ value >> 63) }

    private static func unzigzag(_ value: UInt64) -> Int64 {
        Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }
}

// MARK: Bytes

extension [UInt8] {
    /// Seven bits to a byte, the lowest first; the highest bit says that more follow.
    mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }

    mutating func append(text: [UInt8]) {
        append(varint: UInt64(text.count))
        append(contentsOf: text)
    }
}

/// Reads bytes from front to back, never beyond their end.
struct ByteReader {
    private let bytes: [UInt8]
    private var offset = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { offset == bytes.count }

    mutating func take(_ count: Int) throws(StoreFailure) -> [UInt8] {
        guard count >= 0, count <= bytes.count - offset else { throw .log(.malformed) }
        defer { offset += count }
        return Array(bytes[offset..<offset + count])
    }

    mutating func byte() throws(StoreFailure) -> UInt8 {
        guard offset < bytes.count else { throw .log(.malformed) }
        defer { offset += 1 }
        return bytes[offset]
    }

    mutating func word64() throws(StoreFailure) -> UInt64 {
        let bytes = try take(8)
        return bytes.octets.word64(at: 0)
    }

    mutating func tag() throws(StoreFailure) -> Tag {
        let bytes = try take(32)
        return Tag(bytes.octets, at: 0)
    }

    mutating func varint() throws(StoreFailure) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            let byte = try byte()
            // The tenth byte has room for one bit.
            guard shift < 63 || byte <= 1 else { throw .log(.malformed) }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw .log(.malformed)
    }

    mutating func number32() throws(StoreFailure) -> UInt32 {
        guard let number = UInt32(exactly: try varint()) else { throw .log(.malformed) }
        return number
    }

    mutating func text() throws(StoreFailure) -> [UInt8] {
        guard let count = Int(exactly: try varint()) else { throw .log(.malformed) }
        return try take(count)
    }

    /// A byte as a value; 0 is none.
    mutating func optional<Value>(_ value: (UInt8) -> Value?) throws(StoreFailure) -> Value? {
        let byte = try byte()
        if byte == 0 { return nil }
        guard let value = value(byte) else { throw .log(.formatTooNew) }
        return value
    }
}
