public import CredentialModel
import Synchronization

/// The subject of a bulk revocation.
public enum WatermarkSubject: Hashable, Sendable {
    /// The exact bytes of an owner.
    case owner([UInt8])
    /// An interned client number.
    case client(UInt32)
    case family(UInt64)
}

/// A bulk revocation of what was issued under a lower journal number and, if a time was given, before it.
public struct Watermark: Hashable, Sendable {
    /// Revokes records with a lower journal number.
    public var journalNumber: UInt64
    /// Revokes records issued before this second; ``UnixSeconds/always`` revokes none.
    public var issuedBefore: UnixSeconds

    public init(journalNumber: UInt64, issuedBefore: UnixSeconds) {
        self.journalNumber = journalNumber
        self.issuedBefore = issuedBefore
    }

    /// Whether this revokes a record with this journal number and time of issue.
    public func kills(journalNumber number: UInt64, issuedAt: UnixSeconds) -> Bool {
        number < journalNumber || issuedAt < issuedBefore
    }
}

/// All watermarks, readable on the hot path without a lock. Most stores have none of a kind; the check then costs one load.
///
/// A hash table with chains. Entries are only added, at the head of their chain, and their two numbers only rise. So readers
/// need no lock, and nothing is freed while they read. Keys are compared whole.
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

    /// Nil when the system does not give the memory.
    public init?() {
        guard let chains = WatermarkChains() else { return nil }
        self.chains = chains
    }

    /// Raises the watermark of a subject, between the commit and its acknowledgement. Only one writer at a time.
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

    /// Whether there are no watermarks at all.
    public var isEmpty: Bool {
        // Acquire: as in `kills`.
        ownerCount.load(ordering: .acquiring) | clientCount.load(ordering: .acquiring)
            | familyCount.load(ordering: .acquiring) == 0
    }

    /// Whether a bulk revocation covers this record. For owners that it does not hold whole see `kills(_:longOwner:)`.
    @inline(__always)
    public func kills(_ record: borrowing CredentialRecord) -> Bool {
        // Acquire: pairs with the release of the count, so the counted entry is visible.
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

    /// Whether an owner has a watermark. Not for the hot path: it copies the key.
    public func knows(owner: RawSpan) -> Bool {
        // A record from before every journal number and time: any watermark revokes it.
        var first = CredentialRecord(id: CredentialID(rawValue: 0), kind: .apiKey, tag: Tag(0, 0, 0, 0), pepper: 0)
        first.journalNumber = 0
        first.issuedAt = .always
        return kills(first, longOwner: owner)
    }

    /// Whether a bulk revocation by owner covers this record, whose owner has more than 64 bytes.
    public func kills(_ record: borrowing CredentialRecord, longOwner: RawSpan) -> Bool {
        guard ownerCount.load(ordering: .acquiring) > 0 else { return false }
        return chains.find(Self.key(of: longOwner), kills: record)
    }

    @inline(__always)
    private static func key(_ kind: Kind, _ number: UInt64) -> InlineArray<9, UInt64> {
        [kind.rawValue, number, 0, 0, 0, 0, 0, 0, 0]
    }

    /// The length in one word, then the text in whole words, zero-padded: only equal texts have equal keys.
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
