import CredentialDigest
import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

@testable import CredentialStore

@Suite struct `Another process that follows a store` {
    @Test func `sees every way in which a credential ends, at once, even if it is cached`() async throws {
        let fixture = try Fixture()
        let issuer = fixture.issuer
        let keys = try await issuer.createKeys(KeyRequest(owner: "alice", scope: ["read", "write"], count: 4))
        let owned = try await fixture.key(owner: "bob")
        let longOwned = try await fixture.key(owner: String(repeating: "o", count: 200))
        let client = try await fixture.client()
        let token = try await issuer.issueToken(TokenRequest(clientID: client.summary.clientID))
        let follower = try Follower(fixture)
        #expect(follower.hasOpened, "\(follower.greeting)")
        let all = keys.map(\.secret) + [owned.secret, longOwned.secret, token.secret]
        for secret in all { #expect(try follower.verdict(secret).hasPrefix("active")) }
        // Owners of more than 64 bytes are not cached.
        for secret in all where secret.revealBytes() != longOwned.secret.revealBytes() {
            #expect(try follower.verdict(secret).hasSuffix("hit"))
        }

        _ = try await issuer.revoke([keys[0].summary.id], chain: false)
        #expect(try follower.verdict(keys[0].secret) == "inactive revoked")
        _ = try await issuer.rotate(keys[1].summary.id, overlapSeconds: 0)
        #expect(try follower.verdict(keys[1].secret).hasPrefix("inactive"))
        _ = try await issuer.editKey(keys[2].summary.id, KeyEdit(scope: ["read"]))
        #expect(try follower.verdict(keys[2].secret) == "active alice read miss")
        _ = try await issuer.revokeOwner("bob", issuedBefore: nil)
        #expect(try follower.verdict(owned.secret) == "inactive revoked")
        _ = try await issuer.revokeOwner(String(repeating: "o", count: 200), issuedBefore: nil)
        #expect(try follower.verdict(longOwned.secret) == "inactive revoked")
        _ = try await issuer.revokeClient(client.summary.clientID)
        #expect(try follower.verdict(token.secret) == "inactive revoked")
        // Unaffected credentials are still cached.
        #expect(try follower.verdict(keys[3].secret) == "active alice read+write hit")
    }

    @Test func `follows before a batch, too`() async throws {
        let fixture = try Fixture()
        let keys = try await fixture.issuer.createKeys(KeyRequest(owner: "alice", count: 3))
        let follower = try Follower(fixture)
        #expect(try follower.verdicts(keys.map(\.secret)) == ["active", "active", "active"])
        _ = try await fixture.issuer.revoke([keys[1].summary.id], chain: false)
        #expect(try follower.verdicts(keys.map(\.secret)) == ["active", "inactive revoked", "active"])
    }

    @Test func `knows what was issued since, with new texts`() async throws {
        let fixture = try Fixture()
        let old = try await fixture.key()
        let follower = try Follower(fixture)
        _ = try follower.verdict(old.secret)
        for round in 0..<3 {
            let new = try await fixture.issuer.createKeys(KeyRequest(owner: "bob", scope: ["new:\(round)"]))[0]
            #expect(try follower.verdict(new.secret) == "active bob new:\(round) miss")
            #expect(try follower.verdict(new.secret) == "active bob new:\(round) hit")
        }
        let never = CredentialFormat.mint(kind: .apiKey, id: .random(), vendor: fixture.store.vendor)
        #expect(try follower.verdict(never) == "inactive unknown")
        // Issuance does not invalidate its copies.
        #expect(try follower.verdict(old.secret).hasSuffix("hit"))
    }

    @Test func `learns imported keys and their scheme`() async throws {
        let fixture = try OtherSystem.fixture()
        let follower = try Follower(fixture)
        let key = SecretText(Array("legacy_4f6e8a1b2c3d4e5f".utf8))
        #expect(try follower.verdict(key) == "inactive malformed")
        let id = try await fixture.importing("legacy_4f6e8a1b2c3d4e5f", "billing")
        #expect(try follower.verdict(key).hasPrefix("active carol"))
        _ = try await fixture.issuer.revoke([id], chain: false)
        #expect(try follower.verdict(key) == "inactive revoked")
    }

    @Test func `that lacks the key of an imported hash reports that, and what to do`() async throws {
        let fixture = try OtherSystem.fixture()
        let own = fixture.folder("peppers-of-the-follower")
        let lines = String(decoding: try Data(contentsOf: URL(fileURLWithPath: fixture.pepperPath)), as: UTF8.self)
            .split(separator: "\n").filter { !$0.hasPrefix("hmac") }.joined(separator: "\n")
        try FixtureFile.replace(own, Array(lines.utf8))
        let follower = try Follower(fixture, peppers: own)
        let key = try await fixture.key()
        #expect(try follower.verdict(key.secret).hasPrefix("active"))
        _ = try await fixture.importing("legacy_4f6e8a1b2c3d4e5f", "billing")
        for _ in 0..<2 {
            let answer = try follower.verdict(key.secret)
            #expect(answer.hasPrefix("error") && answer.contains("'billing'") && answer.contains("open it again"))
        }
        #expect(
            try Follower(fixture, peppers: own).greeting.contains("the HMAC key 'billing' is not in the pepper file"))
    }

    @Test func `continues when the owner stops and starts again`() async throws {
        let fixture = try Fixture()
        let keys = try await fixture.issuer.createKeys(KeyRequest(owner: "alice", count: 3))
        let follower = try Follower(fixture)
        for key in keys { #expect(try follower.verdict(key.secret).hasPrefix("active")) }
        fixture.close()
        #expect(try follower.verdict(keys[0].secret).hasSuffix("hit"))
        let again = try fixture.reopened()
        _ = try await again.issuer.revoke([keys[0].summary.id], chain: false)
        #expect(try follower.verdict(keys[0].secret) == "inactive revoked")
        #expect(try follower.verdict(keys[1].secret).hasSuffix("hit"))
    }

    @Test func `discards all copies if the journal does not go back far enough`() async throws {
        let fixture = try Fixture()
        let keys = try await fixture.issuer.createKeys(KeyRequest(owner: "alice", count: 2))
        let owned = try await fixture.key(owner: "bob")
        let follower = try Follower(fixture)
        for secret in keys.map(\.secret) + [owned.secret] { #expect(try follower.verdict(secret).hasPrefix("active")) }
        let before = try fixture.journal().last?.number ?? 0
        _ = try await fixture.issuer.revoke([keys[0].summary.id], chain: false)
        _ = try await fixture.issuer.revokeOwner("bob", issuedBefore: nil)
        try await fixture.store.write(creates: false) { writer, transaction in
            try writer.perform(.forgetJournal(through: before + 2), in: transaction)
        }
        _ = try await fixture.key()
        #expect(try follower.verdict(keys[0].secret) == "inactive revoked")
        #expect(try follower.verdict(owned.secret) == "inactive revoked")
        #expect(try follower.verdict(keys[1].secret).hasSuffix("miss"))
    }
}

@Suite struct `Peppers of a process that follows a store` {
    @Test func `are read again when the owner adds one`() async throws {
        let fixture = try Fixture()
        let old = try await fixture.key()
        let follower = try Follower(fixture)
        #expect(try follower.verdict(old.secret).hasPrefix("active"))
        _ = try await fixture.issuer.addPepper()
        let new = try await fixture.key()
        #expect(try follower.verdict(new.secret).hasPrefix("active"))
        #expect(try follower.verdict(old.secret).hasPrefix("active"))
        // The follower cannot re-tag; the owner does, when it verifies.
        #expect(try fixture.row(old.summary.id)?.record.pepper == 1)
        #expect(
            try await eventually {
                try fixture.verdict(old.secret).isActive && fixture.row(old.summary.id)?.record.pepper == 2
            })
        try await fixture.issuer.retirePepper(1)
        for secret in [old.secret, new.secret] { #expect(try follower.verdict(secret).hasPrefix("active")) }
    }

    @Test func `without the new one cause errors for what needs it, and for nothing else`() async throws {
        let fixture = try Fixture()
        let old = try await fixture.key()
        let own = fixture.folder("peppers-of-the-follower")
        try FixtureFile.replace(own, [UInt8](try Data(contentsOf: URL(fileURLWithPath: fixture.pepperPath))))
        let follower = try Follower(fixture, peppers: own)
        _ = try await fixture.issuer.addPepper()
        let new = try await fixture.key()
        #expect(try follower.verdict(new.secret).contains("pepper 2 is not in the pepper file"))
        #expect(try follower.verdict(old.secret).hasPrefix("active"))
        try FixtureFile.replace(own, [UInt8](try Data(contentsOf: URL(fileURLWithPath: fixture.pepperPath))))
        // The file is read once a second, even if nothing is committed meanwhile.
        #expect(try follower.verdict(new.secret, at: fixture.store.clock.now().adding(2)).hasPrefix("active"))
    }

    /// It has no journal entry, and neither have the records that are re-tagged.
    @Test func `are read again when the owner added one at its start`() async throws {
        let fixture = try Fixture()
        let moved = try await fixture.key()
        let follower = try Follower(fixture)
        fixture.close()
        let longer = try #require(try PepperFileOnDisk.read(fixture.pepperPath).addingPepper(above: 1))
        try FixtureFile.replace(fixture.pepperPath, longer.serialized())
        let again = try fixture.reopened()
        #expect(
            try await eventually {
                try again.verdict(moved.secret).isActive && again.row(moved.summary.id)?.record.pepper == 2
            })
        #expect(try follower.verdict(moved.secret, at: again.store.clock.now().adding(1)).hasPrefix("active"))
    }

    @Test func `of another store are refused`() async throws {
        let (fixture, other) = (try Fixture(), try Fixture())
        let follower = try Follower(fixture, peppers: other.pepperPath)
        #expect(follower.greeting.contains("lookup secret in the pepper file is not the one"))
    }
}

@Suite struct `A process that follows a store refuses` {
    @Test func `a store that was replaced, at the first verification after that`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        try fixture.backup(toFile: fixture.folder("backup"))
        let follower = try Follower(fixture)
        let now = fixture.store.clock.now()
        #expect(try follower.verdict(key.secret, at: now).hasPrefix("active"))
        fixture.close()
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        let replacement = try Replacing.restore(fixture.folder("backup"), fixture, peppers, nil)
        // Within the same second, so not because of the check of the path.
        for _ in 0..<2 {
            let answer = try follower.verdict(key.secret, at: now)
            #expect(answer.hasPrefix("error") && answer.contains("open it again"))
        }
        let again = try fixture.reopened()
        let second = try Follower(again)
        #expect(second.greeting == "open \(again.store.incarnation)" && second.greeting != follower.greeting)
        #expect(try second.verdict(key.secret).hasPrefix("active"))
        // The kept folder is marked as replaced, until an owner opens it again.
        let kept = try #require(replacement.kept)
        #expect(try Follower(again, store: kept).greeting.contains("open it again"))
    }

    @Test func `a folder that was exchanged by hand, within a second`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        let follower = try Follower(fixture)
        let now = fixture.store.clock.now()
        #expect(try follower.verdict(key.secret, at: now).hasPrefix("active"))
        try FileManager.default.moveItem(atPath: fixture.directory, toPath: fixture.directory + ".aside")
        #expect(try follower.verdict(key.secret, at: now.adding(1)).contains("open it again"))
        #expect(try follower.verdict(key.secret, at: now).contains("open it again"))
    }

    @Test func `an owner in another PID namespace, as the owner refuses such followers`() async throws {
        let fixture = try Fixture()
        let record = "pid 1\npid-namespace 42\n"
        let owner = URL(fileURLWithPath: fixture.directory + "/owner.lock")
        let truth = try Data(contentsOf: owner)
        try Data(record.utf8).write(to: owner, options: [])
        #expect(try Follower(fixture).greeting.contains("shared process namespace"))
        try truth.write(to: owner, options: [])

        let follower = try Follower(fixture)
        #expect(follower.hasOpened)
        try Data(record.utf8).write(to: URL(fileURLWithPath: fixture.directory + "/followers.lock"), options: [])
        #expect(try Follower(fixture).greeting.contains("processes in another PID namespace read the store"))
        fixture.close()
        let failure = #expect(throws: StoreFailure.self) { try fixture.reopened() }
        #expect(failure == .held(.foreignFollowers))
        // Without the follower the reason is gone.
        follower.end()
        _ = try fixture.reopened()
    }

    @Test func `another user's folder, and a folder without a store`() async throws {
        let fixture = try Fixture()
        #expect(try Follower(fixture, store: fixture.folder("none")).greeting.contains("there is no store in"))
        guard geteuid() == 0 else { return }
        #expect(chown(fixture.directory, 12_345, 12_345) == 0)
        #expect(try Follower(fixture).greeting.contains("belongs to uid 12345: run as that user"))
    }
}
