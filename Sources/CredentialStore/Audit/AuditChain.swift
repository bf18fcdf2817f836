import CredentialDigest
import CredentialModel

// Who did what is worth little if it can be rewritten without a trace. So each entry holds a hash over the entry before, its
// own number and all that it says: nothing can be changed, taken out, put in between or moved without the chain breaking
// there. The last number and hash stand in `meta` as well, so that entries taken off the end are missed.
//
// The hash is an HMAC under the lookup secret, which lies in the pepper file and never rotates. A plain SHA-256 could be
// computed anew, entry by entry, by anybody who can write the store's file; with the secret that takes the pepper file too,
// which is kept elsewhere, and whoever has both owns the service anyway. The price is that only who has the secret can
// verify: the daemon and its operator.
//
// What the chain cannot notice: whoever has file *and* secret can write another history; whoever puts an older file back,
// or takes all of the log away with its head, leaves a chain that is whole. A head that was written down elsewhere shows
// both, so one can be given to verify against.

/// The hashes of the audit log.
struct AuditChain: Sendable {
    private let key: TagKey

    init(key: TagKey) {
        self.key = key
    }

    /// What the first entry is chained to.
    static let beginning = [UInt8](repeating: 0, count: AuditRow.hashBytes)

    /// The hash of an entry.
    /// - Parameter content: all of its row but the hash.
    func hash(number: UInt64, content: RawSpan, after previous: [UInt8]) -> [UInt8] {
        var message = Array("countersign audit entry".utf8)
        message.reserveCapacity(message.count + 40 + content.byteCount)
        message.append(contentsOf: previous)
        message.append(word64: number)
        for offset in 0..<content.byteCount { message.append(content.byte(at: offset)) }
        return key.authenticationCode(of: message.octets).bytes
    }

    /// How the end of the log stands in `meta`: number, hash, and a code over both.
    func headRow(_ head: AuditHead) -> [UInt8] {
        var row: [UInt8] = []
        row.append(word64: head.number)
        row.append(contentsOf: head.hash)
        return row + code(of: row)
    }

    /// The end of the log as `meta` has it.
    /// - Returns: whether it is genuine as well.
    func head(_ row: RawSpan) -> (head: AuditHead, isGenuine: Bool)? {
        let count = 8 + AuditRow.hashBytes
        guard row.byteCount == count + AuditRow.hashBytes else { return nil }
        let head = AuditHead(number: row.word64(at: 0), hash: row.extracting(8..<count).copied())
        let code = code(of: row.extracting(0..<count).copied())
        return (head, row.extracting(count...).elementsEqual(code.octets))
    }

    private func code(of head: [UInt8]) -> [UInt8] {
        let message = Array("countersign audit head".utf8) + head
        return key.authenticationCode(of: message.octets).bytes
    }
}

/// The end of an audit log: the last entry and its hash. Written down elsewhere, it shows later whether the log still has
/// all that it had then.
public struct AuditHead: Sendable, Equatable, CustomStringConvertible {
    public var number: UInt64
    public var hash: [UInt8]

    init(number: UInt64, hash: [UInt8]) {
        self.number = number
        self.hash = hash
    }

    /// Reads `NUMBER:HASH`; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let number = UInt64(parts[0]), let hash = Hexadecimal.decode(parts[1]),
            hash.count == AuditRow.hashBytes
        else { return nil }
        self.init(number: number, hash: hash)
    }

    public var description: String { "\(number):\(Hexadecimal.encode(hash))" }
}

/// Bytes as pairs of lower-case digits.
enum Hexadecimal {
    private static let digits = Array("0123456789abcdef".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    static func decode(_ text: Substring) -> [UInt8]? {
        let values = text.utf8.map { digits.firstIndex(of: $0) }
        guard values.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: values.count, by: 2) {
            guard let high = values[index], let low = values[index + 1] else { return nil }
            bytes.append(UInt8(high << 4 | low))
        }
        return bytes
    }
}

extension AuditEntry {
    /// The log's end, if this is its last entry.
    public var head: AuditHead { AuditHead(number: number, hash: hash) }
    /// Its hash in hexadecimal digits.
    public var hashText: String { Hexadecimal.encode(hash) }
}
