import CredentialDigest
import CredentialModel
import Foundation
import Issuance
import LMDB
import TestSupport
import Testing
import Verification

@testable import CredentialStore

@Suite struct `Upgrading a store` {
    /// Makes of the fixture's store one of the first schema, which named no origin, and closes it.
    private func makeFirstSchema(_ fixture: Fixture) async throws {
        let meta = fixture.store.schema.meta
        try await fixture.store.write(creates: false) { writer, transaction in
            try writer.setNumber(.schema, 1, in: transaction)
            _ = try transaction.delete(meta, key: MetaName.origin.key.octets)
        }
        fixture.close()
    }

    @Test func `copies it to the present schema and keeps the old one`() async throws {
        let fixture = try Fixture()
        let (key, revoked) = (try await fixture.key(), try await fixture.key())
        _ = try await fixture.issuer.revoke([revoked.summary.id], chain: false)
        try await makeFirstSchema(fixture)
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        guard case .upgraded(from: 1, to: Schema.version, let replacement) = try Replacing.upgrade(fixture, peppers)
        else {
            Issue.record("it was not upgraded")
            return
        }
        let again = try fixture.reopened()
        #expect(try again.verdict(key.secret).isActive)
        #expect(try again.verdict(revoked.secret).reason == .revoked)
        #expect(again.store.incarnation == fixture.store.incarnation)
        #expect(again.store.origin == fixture.store.incarnation)
        #expect(try again.check().isEmpty)
        let kept = try #require(replacement.kept)
        #expect(throws: StoreFailure.schemaTooOld(found: 1, known: Schema.version)) {
            _ = try CredentialStore.open(in: kept, peppers: peppers, options: fixture.options)
        }
        again.close()
        #expect(try Replacing.upgrade(fixture, peppers) == .current(schema: Schema.version))
    }

    @Test func `is part of restoring an old backup`() async throws {
        let fixture = try Fixture()
        let key = try await fixture.key()
        try await makeFirstSchema(fixture)
        let backup = fixture.folder("backup")
        try FileManager.default.copyItem(atPath: fixture.directory + "/data.mdb", toPath: backup)
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        _ = try Replacing.restore(backup, fixture, peppers, nil)
        let again = try fixture.reopened()
        #expect(try again.verdict(key.secret).isActive)
        #expect(again.store.origin == fixture.store.incarnation)
    }

    @Test func `is refused for a store that is held, absent or newer, and changes nothing`() async throws {
        let fixture = try Fixture()
        let peppers = try PepperFileOnDisk.read(fixture.pepperPath)
        #expect(throws: StoreFailure.self) { _ = try Replacing.upgrade(fixture, peppers) }
        try await fixture.store.write(creates: false) { writer, transaction in
            try writer.setNumber(.schema, Schema.version + 1, in: transaction)
        }
        fixture.close()
        #expect(throws: StoreFailure.schemaTooNew(found: Schema.version + 1, known: Schema.version)) {
            _ = try Replacing.upgrade(fixture, peppers)
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: fixture.folder.path)
        #expect(left.filter { $0.hasPrefix("store") } == ["store"])
        try FileManager.default.removeItem(atPath: fixture.directory)
        #expect(throws: StoreFailure.noStore(directory: fixture.directory)) {
            _ = try Replacing.upgrade(fixture, peppers)
        }
    }
}
