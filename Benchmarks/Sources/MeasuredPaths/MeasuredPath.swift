import AllocationCount
import CredentialDigest
import CredentialModel
import CredentialStore
import Issuance
import Verification

/// One way through the verifier, or a part of it, that can be run any number of times.
///
/// For one thread at a time.
public final class MeasuredPath: @unchecked Sendable {
    public let name: String
    private let body: (_ first: Int, _ count: Int) throws -> Int
    private var position = 0

    init(_ name: String, _ body: @escaping (_ first: Int, _ count: Int) throws -> Int) {
        self.name = name
        self.body = body
    }

    /// Runs it `count` times, going on where the last call ended.
    /// - Throws: ``MeasuringFault`` when an outcome is not the expected one: then something else was measured.
    public func run(_ count: Int) throws {
        let expected = try body(position, count)
        position += count
        guard expected == count else {
            throw MeasuringFault("\(name): \(count - expected) of \(count) went another way")
        }
    }

    /// The same, and the allocations that the calling thread made meanwhile.
    public func allocations(_ count: Int) throws -> UInt64 {
        let before = allocation_count()
        try run(count)
        return allocation_count() - before
    }
}

extension MeasuredStore {
    /// All of them: HMAC, hit, get and miss first, hits in batches and hits of 1,000 keys last.
    public func paths() throws -> [MeasuredPath] {
        [
            try .hmac(), try hit(), bareGet(), try miss(), try wrongSecret(), try unknownID(), try revokedKey(),
            try importedKey(), parse(), try tag(), try hitOfFew(8), try batchOfFew(1_000), try batch(),
            try hitOfFew(1_000), try hitOnNode(1_000, usesTicks: true), try hitOnNode(1_000, usesTicks: false),
        ]
    }

    /// The code that a key's row is authenticated by, of as many bytes as such a row has: a part of each miss.
    public func rowCode() -> MeasuredPath {
        let authenticator = RowAuthenticator(lookup: TagKey([UInt8](repeating: 7, count: 32)))
        let row = [UInt8](repeating: 0xA5, count: 112)
        return MeasuredPath("a row's code") { first, count in
            var codes: UInt64 = 0
            for key in first..<first + count {
                codes |= authenticator.code(table: 1, key: UInt64(key), row: row.octets)
            }
            return codes == 0 ? 0 : count
        }
    }

    /// Hits in batches, 100,000 keys in turn.
    public func batch() throws -> MeasuredPath {
        let path = try MeasuredPath.verifyingBatches("verify hit, in batches", keys, in: warm)
        try path.run(keys.count)
        return path
    }

    /// The same of a few keys.
    public func batchOfFew(_ count: Int) throws -> MeasuredPath {
        let path = try MeasuredPath.verifyingBatches(
            "verify hit, in batches, \(count) keys", keys.first(count), in: warm)
        try path.run(count)
        return path
    }

    /// A hit: the record is in the cache, 100,000 of them in turn.
    public func hit() throws -> MeasuredPath {
        let path = try MeasuredPath.verifying("verify hit", keys, in: warm, as: nil)
        try path.run(keys.count)
        return path
    }

    /// A hit of a few keys again and again, whose records stay in the processor's own caches: the work without the waiting.
    public func hitOfFew(_ count: Int) throws -> MeasuredPath {
        let path = try MeasuredPath.verifying("verify hit, \(count) keys", keys.first(count), in: warm, as: nil)
        try path.run(count)
        return path
    }

    /// The same in the store that keys are issued in.
    public func hitBesideWriter() throws -> MeasuredPath {
        let path = try MeasuredPath.verifying("verify hit, 1000 keys", keys.first(1_000), in: issuing.store, as: nil)
        try path.run(1_000)
        return path
    }

    /// A miss: the record comes from the store.
    public func miss() throws -> MeasuredPath {
        try MeasuredPath.verifying("verify miss", keys, in: cold, as: nil)
    }

    public func unknownID() throws -> MeasuredPath {
        try MeasuredPath.verifying("verify unknown id", unknown, in: warm, as: .unknown)
    }

    public func wrongSecret() throws -> MeasuredPath {
        try MeasuredPath.verifying("verify wrong secret", forged, in: warm, as: .unknown)
    }

    public func revokedKey() throws -> MeasuredPath {
        try MeasuredPath.verifying("verify revoked", revoked, in: warm, as: .revoked)
    }

    public func importedKey() throws -> MeasuredPath {
        try MeasuredPath.verifying("verify imported", imported, in: warm, as: nil)
    }

    /// Reading a credential's text, down to the block that is hashed.
    public func parse() -> MeasuredPath {
        let keys = keys
        return MeasuredPath("parse") { first, count in
            var index = first % keys.count
            var met = 0
            for _ in 0..<count {
                let offset = index &* keys.stride
                let text = keys.bytes.octets.extracting(offset..<offset &+ keys.stride)
                if let credential = NativeCredential(text, vendor: .iiniit), credential.block.quarters[3].y != 0 {
                    met &+= 1
                }
                index = index &+ 1 == keys.count ? 0 : index &+ 1
            }
            return met
        }
    }

    /// ``MeasuredPath/hmac()`` by this project's calls.
    public func tag() throws -> MeasuredPath {
        let text = Array(keys.bytes.prefix(keys.stride))
        guard let credential = NativeCredential(text.octets, vendor: .iiniit) else {
            throw MeasuringFault("a key is malformed")
        }
        let key = TagKey([UInt8](repeating: 7, count: 32))
        let expected = key.tag(of: credential.block).word0
        return MeasuredPath("tag of a parsed credential") { _, count in
            var met = 0
            for _ in 0..<count where key.tag(of: credential.block).word0 == expected { met &+= 1 }
            return met
        }
    }

    /// What no miss can do without: a look-up by LMDB's own calls.
    public func bareGet() -> MeasuredPath {
        let ids = ids
        let bare = bare
        return MeasuredPath("bare mdb_get") { first, count in
            var index = first % ids.count
            var met = 0
            for _ in 0..<count {
                if bare.firstWord(ids[index]) != 0 { met &+= 1 }
                index = index &+ 1 == ids.count ? 0 : index &+ 1
            }
            return met
        }
    }
}
