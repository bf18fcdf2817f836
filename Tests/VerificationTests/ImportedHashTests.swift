import ChildProcess
import CredentialDigest
import CredentialModel
import CredentialStore
import Foundation
import Issuance
import LMDB
import TestSupport
import Testing
import Verification

/// A hash computed by an independent program, in hexadecimal digits.
enum OpenSSL {
    static func hex(_ text: String, _ arguments: String...) throws -> String {
        let answer = try ChildProcess.output(
            of: ["openssl", "dgst", "-hex", "-r"] + arguments, input: Array(text.utf8))
        return String(String(decoding: answer, as: UTF8.self).prefix { $0 != " " })
    }
}

/// Keys of the other system, and stores into which they were imported.
enum OtherSystem {
    static let hmacKeys = ["billing": "ab", "old-crm": String(repeating: "0f1e2d3c", count: 40)]

    static func fixture() throws -> Fixture {
        try Fixture(pepperLines: hmacKeys.map { "hmac \($0) \($1)" })
    }

    static func hash(_ key: String, _ scheme: String) throws -> ImportedForm {
        func text(_ hex: String) -> SecretText { SecretText(Array(hex.utf8)) }
        switch scheme {
        case "key": return .key(text(key))
        case "sha256": return .sha256(text(try OpenSSL.hex(key, "-sha256")))
        case "sha512": return .sha512(text(try OpenSSL.hex(key, "-sha512")))
        default:
            let option = "hexkey:" + (hmacKeys[scheme] ?? "")
            let hex = try OpenSSL.hex(key, "-sha256", "-mac", "HMAC", "-macopt", option)
            return .hmacSHA256(text(hex), keyName: scheme)
        }
    }

    static let hashes = ["sha256", "sha512", "billing", "old-crm"]
}

extension Fixture {
    func importing(_ key: String, _ scheme: String, owner: String = "carol") async throws -> CredentialID {
        let line = ImportLine(try OtherSystem.hash(key, scheme), request: KeyRequest(owner: owner, scope: ["read"]))
        let report = try await issuer.importKeys([line])
        return try #require(report.imported.first, "\(report.refused)")
    }
}

@Suite struct `A key imported as a hash` {
    private let key = "legacy_4f6e8a1b2c3d4e5f"
    private let now = UnixSeconds(1)

    @Test(arguments: OtherSystem.hashes)
    func `is accepted when the key is presented, from store and cache, and nothing else is`(
        _ scheme: String
    ) async throws {
        let fixture = try OtherSystem.fixture()
        let verifier = try fixture.verifier()
        let lengths = [20, 23, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 512]
        for length in lengths {
            let key = String((0..<length).map { _ in Character(UnicodeScalar(UInt8.random(in: 0x61...0x7A))) })
            let id = try await fixture.importing(key, scheme)
            for _ in 0..<2 {
                let record = try #require(try verifier.verdict(key, at: now).record, "\(length) bytes")
                #expect(record.id == id && record.flags.contains(.imported) && record.kind == .apiKey)
            }
            for other in [String(key.dropLast()) + "0", key.uppercased(), " " + key] {
                #expect(try verifier.verdict(other, at: now).reason == .malformed)
            }
        }
        #expect(try fixture.check().isEmpty)
    }

    @Test(arguments: OtherSystem.hashes)
    func `is not accepted when only the hash is presented`(_ scheme: String) async throws {
        let fixture = try OtherSystem.fixture()
        _ = try await fixture.importing(key, scheme)
        let verifier = try fixture.verifier()
        for other in OtherSystem.hashes {
            guard case .sha256(let text) = try OtherSystem.hash(key, other) else { continue }
            #expect(try verifier.verdict(text.revealBytes(), at: now).reason == .malformed)
        }
    }

    @Test func `is looked up by a scheme only once something was imported by it, and then at once`()
        async throws
    {
        let fixture = try OtherSystem.fixture()
        let verifier = try fixture.verifier()
        var expected = ForeignSchemeSet()
        #expect(fixture.store.published.foreignSchemes == expected)
        let schemes = ["key", "sha512", "old-crm", "sha256", "billing"]
        for (index, scheme) in schemes.enumerated() {
            let key = "legacy_key_number_\(index)_0123"
            #expect(try verifier.verdict(key, at: now).reason == .malformed)
            _ = try await fixture.importing(key, scheme)
            #expect(try verifier.verdict(key, at: now).isActive)
            for known in fixture.store.foreignSchemes.all where known.name.hasSuffix(scheme == "key" ? "raw" : scheme) {
                if scheme == "sha256", known.name != "sha256" { continue }
                expected.insert(known)
            }
            #expect(fixture.store.published.foreignSchemes == expected, "\(scheme)")
        }
        let again = try fixture.reopened()
        #expect(again.store.published.foreignSchemes == expected)
        let after = try again.verifier()
        for index in schemes.indices { #expect(try after.verdict("legacy_key_number_\(index)_0123", at: now).isActive) }
    }

    @Test func `is accepted on every thread once its import has returned, also the first of its scheme`() async throws {
        for scheme in OtherSystem.hashes {
            let fixture = try OtherSystem.fixture()
            let imported = Flag()
            let key = key
            let readers = try (0..<3).map { _ in
                let verifier = UncheckedVerifier(try fixture.verifier())
                return Task.detached { () -> Bool in
                    while true {
                        // Read before the verification begins.
                        let mustBeKnown = imported.isSet
                        let isActive = try verifier.verifier.verdict(key, at: UnixSeconds(1)).isActive
                        if mustBeKnown { return isActive }
                        await Task.yield()
                    }
                }
            }
            _ = try await fixture.importing(key, scheme)
            imported.set()
            for reader in readers { #expect(try await reader.value, "\(scheme)") }
        }
    }

    @Test(arguments: OtherSystem.hashes)
    func `is revoked alone, by owner and by leak report, and stays refused`(_ scheme: String) async throws {
        let fixture = try OtherSystem.fixture()
        let verifier = try fixture.verifier()
        let keys = (0..<3).map { "\(key)_\($0)" }
        var ids: [CredentialID] = []
        for (index, key) in keys.enumerated() {
            ids.append(try await fixture.importing(key, scheme, owner: "o\(index)"))
            #expect(try verifier.verdict(key, at: now).isActive)
        }
        _ = try await fixture.issuer.revoke([ids[0]], chain: false)
        _ = try await fixture.issuer.revokeOwner("o1", issuedBefore: nil)
        #expect(try await fixture.issuer.revokeLeaked(SecretText(Array(keys[2].utf8))))
        #expect(try await !fixture.issuer.revokeLeaked(SecretText(Array(keys[2].utf8))))
        for key in keys { #expect(try verifier.verdict(key, at: now).reason == .revoked) }
        let again = try fixture.reopened()
        for (index, key) in keys.enumerated() {
            #expect(try again.verifier().verdict(key, at: now).reason == .revoked)
            let line = ImportLine(try OtherSystem.hash(key, scheme), request: KeyRequest(owner: "o\(index)"))
            let report = try await again.issuer.importKeys([line])
            #expect(report.imported.isEmpty && report.refused.map(\.reason) == ["was imported before and is revoked"])
        }
    }

    @Test(arguments: OtherSystem.hashes)
    func `keeps its id when the pepper changes, and moves to the new one`(_ scheme: String) async throws {
        let fixture = try OtherSystem.fixture()
        let id = try await fixture.importing(key, scheme)
        _ = try await fixture.issuer.addPepper()
        let verifier = try fixture.verifier()
        #expect(
            try await eventually {
                let record = try verifier.verdict(key, at: now).record
                return record?.id == id && record?.pepper == 2
            })
        try await fixture.issuer.retirePepper(1)
        #expect(try verifier.verdict(key, at: now).record?.id == id)
        let again = try fixture.reopened()
        #expect(try again.verifier().verdict(key, at: now).record?.id == id)
    }

    @Test(arguments: OtherSystem.hashes)
    func `is not accepted where the key could not have been imported in the clear`(_ scheme: String) async throws {
        let fixture = try OtherSystem.fixture()
        let verifier = try fixture.verifier()
        let keys = ["nineteen_characters", "with a space 0123456789", "comma,0123456789abcdef", "umlaut_0123456789_ü"]
        for key in keys + [String(repeating: "a", count: 513)] {
            _ = try await fixture.importing(key, scheme)
            #expect(try verifier.verdict(key, at: now).reason == .malformed)
            #expect(try await !fixture.issuer.revokeLeaked(SecretText(Array(key.utf8))))
        }
    }

    @Test func `is not accepted for its alias alone: the tag must match as well`() async throws {
        let fixture = try OtherSystem.fixture()
        let id = try await fixture.importing(key, "sha256")
        let store = fixture.store
        let other = Array("another_4f6e8a1b2c3d4e5f".utf8)
        let hash = ForeignSchemes.form(of: other.octets, by: .sha256)
        let alias = store.foreignSchemes.alias(of: hash.octets, by: .sha256)
        try await store.write(creates: true) { writer, transaction in
            try writer.setAlias(alias, id, by: .sha256, in: transaction)
        }
        let verifier = try fixture.verifier()
        for _ in 0..<2 {
            #expect(try verifier.verdict(other, at: now).reason == .unknown)
            #expect(try verifier.verdict(key, at: now).isActive)
        }
        #expect(try await !fixture.issuer.revokeLeaked(SecretText(other)))
    }
}

@Suite struct `A key imported in two forms` {
    private let key = "legacy_4f6e8a1b2c3d4e5f"
    private let now = UnixSeconds(1)

    @Test(arguments: OtherSystem.hashes)
    func `is refused where that can be noticed: in the clear after a hash`(_ scheme: String) async throws {
        let fixture = try OtherSystem.fixture()
        let id = try await fixture.importing(key, scheme)
        for revoked in [false, true] {
            if revoked { _ = try await fixture.issuer.revoke([id], chain: false) }
            let report = try await fixture.issuer.importKeys([
                ImportLine(try OtherSystem.hash(key, "key"), request: KeyRequest(owner: "carol"))
            ])
            #expect(report.imported.isEmpty && report.existing.isEmpty)
            #expect(report.refused.first?.reason.hasPrefix("was imported before, as its ") == true)
        }
        #expect(try fixture.verifier().verdict(key, at: now).reason == .revoked)
    }

    @Test func `is active while all its records are, and has the first one's record`() async throws {
        let schemes = ["key"] + OtherSystem.hashes
        for ended in schemes.indices {
            let fixture = try OtherSystem.fixture()
            let verifier = try fixture.verifier()
            var ids: [CredentialID] = []
            for scheme in schemes { ids.append(try await fixture.importing(key, scheme, owner: scheme)) }
            for _ in 0..<2 {
                let record = try #require(try verifier.verdict(key, at: now).record)
                #expect(record.id == ids[0] && verifier.owner(of: record) == Array("key".utf8))
            }
            _ = try await fixture.issuer.revoke([ids[ended]], chain: false)
            #expect(try verifier.verdict(key, at: now).reason == .revoked, "\(schemes[ended])")
        }
    }

    @Test func `is revoked in all of them by a leak report`() async throws {
        let fixture = try OtherSystem.fixture()
        var ids: [CredentialID] = []
        for scheme in ["key"] + OtherSystem.hashes { ids.append(try await fixture.importing(key, scheme)) }
        #expect(try await fixture.issuer.revokeLeaked(SecretText(Array(key.utf8))))
        for id in ids { #expect(try await fixture.issuer.credential(id)?.state == .revoked) }
    }
}

final class Flag: @unchecked Sendable {
    private let lock = NSLock()
    private var value = false
    var isSet: Bool { lock.withLock { value } }
    func set() { lock.withLock { value = true } }
}

/// Used by one task at a time.
struct UncheckedVerifier: @unchecked Sendable {
    let verifier: Verifier
    init(_ verifier: Verifier) { self.verifier = verifier }
}
