public import CredentialModel

/// What a subject has allowed a client to do on their behalf.
public struct Consent: Sendable, Equatable {
    public let subject: [UInt8]
    /// The interned number of the client.
    public let client: UInt32
    public let scope: [String]
    public let givenAt: UnixSeconds

    public init(subject: [UInt8], client: UInt32, scope: [String], givenAt: UnixSeconds) {
        self.subject = subject
        self.client = client
        self.scope = scope
        self.givenAt = givenAt
    }

    // A row: subject, zero byte, client number → seconds, then space-separated scopes.

    static func prefix(of subject: [UInt8]) -> [UInt8] { subject + [0] }

    static func key(_ subject: [UInt8], _ client: UInt32) -> [UInt8] {
        var key = prefix(of: subject)
        key.append(bigEndian: UInt64(client))
        return key
    }

    init?(key: RawSpan, row: RawSpan) {
        guard key.byteCount >= 9, row.byteCount >= 8, let number = TableKey.lastNumber(key) else { return nil }
        self.init(
            subject: key.extracting(0..<key.byteCount - 9).copied(), client: UInt32(truncatingIfNeeded: number),
            scope: String(decoding: row.extracting(8...).copied(), as: UTF8.self).split(separator: " ").map(
                String.init),
            givenAt: UnixSeconds(Int64(bitPattern: row.word64(at: 0))))
    }

    var row: [UInt8] {
        var row: [UInt8] = []
        row.append(word64: UInt64(bitPattern: givenAt.rawValue))
        row.append(contentsOf: scope.joined(separator: " ").utf8)
        return row
    }
}
