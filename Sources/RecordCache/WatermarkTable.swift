public import CredentialModel
import Synchronization

/// Whose credentials were revoked in bulk, and up to where.
public enum WatermarkSubject: Hashable, Sendable {
    /// The exact bytes of an owner.
    case owner([UInt8])
    /// An interned client number.
    case client(UInt32)
    case family(UInt64)
}

/// A bulk revocation: it kills what was issued under a lower journal number, and, if a time was given, before that time.
public struct Watermark: Hashable, Sendable {
    /// Kills records whose journal number is lower.
    public var journalNumber: UInt64
    /// Kills records issued before this second; ``UnixSeconds/always`` kills none.
    public var issuedBefore: UnixSeconds

    public init(journalNumber: UInt64, issuedBefore: UnixSeconds) {
        self.journalNumber = journalNumber
        self.issuedBefore = issuedBefore
    }

    /// Whether a record with these birth marks is dead.
    public func kills(journalNumber number: UInt64, issuedAt: UnixSeconds) -> Bool {
        number < journalNumber || issuedAt < issuedBefore
    }
}

/// All watermarks, for readers on the hot path without a lock. Most stores have none of a kind, and then a reader pays for
/// one load.
///
/// A hash table of chains. Entries are only ever added, at the head of their chain, and their two numbers only ever rise;
/// so a reader that walks a chain needs no lock and nothing is ever freed under it. Keys are compared whole.
public final class WatermarkTable: Sendable {
    private enum Kind: UInt64 {
        case owner = 1
        case client = 2
        case family = 3
    }

    private let chains: WatermarkChains
    private let ownerCount = Atomic<Int>(0)
    private let clientCount = Atomic<Int>(0)
    private let familyCount = Atomic<Int>(0)

    /// Nil when the system gives no memory.
    public init?() {
        guard let chains = WatermarkChains() else { return nil }
        self.chains = chains
    }

    /// Raises the watermark of a subject, between the commit and its acknowledgement. The one writer only.
    public func raise(_ subject: WatermarkSubject, to watermark: Watermark) {
        switch subject {
        case .owner(let text):
            if chains.raise(Self.key(of: text.octets), to: watermark) { ownerCount.add(1, ordering: .releasing) }
        case .client(let number):
            let key = [Kind.client.rawValue, UInt64(number)]
            if chains.raise(key, to: watermark) { clientCount.add(1, ordering: .releasing) }
        case .family(let number):
            if chains.raise([Kind.family.rawValue, number], to: watermark) { familyCount.add(1, ordering: .releasing) }
        }
    }

    /// Whether there are none: then nothing needs to be asked.
    public var isEmpty: Bool {
        // Acquire: as in `kills`.
        ownerCount.load(ordering: .acquiring) | clientCount.load(ordering: .acquiring)
            | familyCount.load(ordering: .acquiring) == 0
    }

    /// Whether a bulk revocation killed this record. Owners that the record does not hold whole are asked for apart.
    @inline(__always)
    public func kills(_ record: borrowing CredentialRecord) -> Bool {
        // Acquire: pairs with the release of the count, and so sees the entry that was counted.
        if clientCount.load(ordering: .acquiring) > 0, record.client != 0,
            chains.find(Self.key(.client, UInt64(record.client)), wordCount: 2, kills: record)
        {
            return true
        }
        if familyCount.load(ordering: .acquiring) > 0, record.family != 0,
            chains.find(Self.key(.family, record.family), wordCount: 2, kills: record)
        {
            return true
        }
        guard ownerCount.load(ordering: .acquiring) > 0, record.holdsWholeOwner else { return false }
        let tagged = Kind.owner.rawValue | UInt64(record.owner.byteCount) << 8
        let words = record.owner.words
        let key: InlineArray<9, UInt64> = [
            tagged, words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7],
        ]
        return chains.find(key, wordCount: 1 &+ (Int(record.owner.byteCount) &+ 7) / 8, kills: record)
    }

    /// Whether an owner has a watermark. Not for the hot path: the key is copied.
    public func knows(owner: RawSpan) -> Bool {
        // What was issued before everything is killed by any watermark.
        var first = CredentialRecord(id: CredentialID(rawValue: 0), kind: .apiKey, tag: Tag(0, 0, 0, 0), pepper: 0)
        first.journalNumber = 0
        first.issuedAt = .always
        return kills(first, longOwner: owner)
    }

    /// Whether a bulk revocation by an owner of more than 64 bytes killed this record.
    public func kills(_ record: borrowing CredentialRecord, longOwner: RawSpan) -> Bool {
        guard ownerCount.load(ordering: .acquiring) > 0 else { return false }
        return chains.find(Self.key(of: longOwner), kills: record)
    }

    @inline(__always)
    private static func key(_ kind: Kind, _ number: UInt64) -> InlineArray<9, UInt64> {
        [kind.rawValue, number, 0, 0, 0, 0, 0, 0, 0]
    }

    /// The text in whole words, zero-padded, behind a word with its length: two texts have one key only if they are equal.
    private static func key(of text: RawSpan) -> [UInt64] {
        var key = [Kind.owner.rawValue | UInt64(text.byteCount) << 8]
        var offset = 0
        while offset < text.byteCount {
            var word: UInt64 = 0
            for index in 0..<min(8, text.byteCount - offset) {
                word |= UInt64(text.byte(at: offset + index)) << UInt64(index * 8)
            }
            key.append(word)
            offset += 8
        }
        return key
    }
}
