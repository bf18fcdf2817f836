import CredentialDigest
import CredentialModel

// An audit log is worth little if it can be rewritten without a trace. So each entry has a hash over the previous hash, its
// own number and its content: a changed, removed, inserted or moved entry breaks the chain at that point. The last number
// and hash are also in `meta`, so that entries removed from the end are noticed.
//
// The hash is an HMAC under the lookup secret, which is in the pepper file and never rotates. Anybody who can write the
// store's file could recompute plain SHA-256 hashes. With the secret, an attacker also needs the pepper file, which is kept
// elsewhere; whoever has both controls the service anyway. The price is that only holders of the secret can verify: the
// daemon and its operator.
//
// The chain cannot reveal a history rewritten with file *and* secret, an older file put back, or a log removed together with
// its head. A head recorded elsewhere reveals all of these, so verification accepts one.

/// Computes the hashes of the audit log.
struct AuditChain: Sendable {
    private let key: TagKey

    init(key: TagKey) {
        self.key = key
    }

    /// The previous hash of the first entry.
    static let beginning = [UInt8](repeating: 0, count: AuditRow.hashBytes)

    /// The hash of an entry.
    /// - Parameter content: its row without the hash.
    func hash(number: UInt64, content: RawSpan, after previous: [UInt8]) -> [UInt8] {
        var message = Array("countersign audit entry".utf8)
        message.reserveCapacity(message.count + 40 + content.byteCount)
        message.append(contentsOf: previous)
        message.append(word64: number)
        for offset in 0..<content.byteCount { message.append(content.byte(at: offset)) }
        return key.authenticationCode(of: message.octets).bytes
    }

    /// The head as stored in `meta`: number, hash, and a code over both.
    func headRow(_ head: AuditHead) -> [UInt8] {
        var row: [UInt8] = []
        row.append(word64: head.number)
        row.append(contentsOf: head.hash)
        return row + code(of: row)
    }

    /// The head as stored in `meta`, and whether it is genuine; nil for a malformed row.
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

/// The end of an audit log: the last entry and its hash. Recorded elsewhere, it later shows whether the log still has all
/// the entries up to it.
public struct AuditHead: Sendable, Equatable, CustomStringConvertible {
    public var number: UInt64
    public var hash: [UInt8]

    init(number: UInt64, hash: [UInt8]) {
        self.number = number
        self.hash = hash
    }

    /// Parses `NUMBER:HASH`; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let number = UInt64(parts[0]), let hash = Hexadecimal.decode(parts[1]),
            hash.count == AuditRow.hashBytes
        else { return nil }
        self.init(number: number, hash: hash)
    }

    public var description: String { "\(number):\(Hexadecimal.encode(hash))" }
}

/// Pairs of lower-case digits.
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
    /// The head of the log, if this is its last entry.
    public var head: AuditHead { AuditHead(number: number, hash: hash) }
    /// Its hash in hexadecimal digits.
    public var hashText: String { Hexadecimal.encode(hash) }
}
