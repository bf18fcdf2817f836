import CredentialModel
import Foundation
import Issuance
import Testing
import TestSupport

@testable import CredentialStore

/// Rule 5: an outage is never reported as "inactive".
@Suite(.timeLimit(.minutes(10))) struct `An unavailable store` {
    /// Overwrites a row with an invalid one.
    private func damage(_ id: CredentialID, in store: CredentialStore) async throws {
        try await store.tamper { writer, transaction in
            _ = try transaction.put(store.schema.credentials.database, key: id.rawValue, value: [1, 2, 3].octets)
        }
    }

    /// A key whose row names a pepper that this store never had.
    private func keyWithoutPepper(_ server: RunningServer, scope: String = "") async throws -> String {
        let key = try await server.key(KeyRequest(owner: "lost", scope: scope.isEmpty ? [] : [scope]))
        var credential = try #require(try server.fixture.row(key.id))
        credential.record.pepper = 999
        let row = credential.row
        let store = server.fixture.store
        try await store.tamper { _, transaction in
            _ = try store.schema.credentials.put(key.id.rawValue, row, in: transaction)
        }
        return key.secret
    }

    private func expectUnavailable(_ answer: Answer) throws {
        #expect(answer.status == 503 && answer["Retry-After"] == "1")
        #expect(answer["Content-Type"] == "application/problem+json")
        #expect(!answer.text.contains("active") && answer.values("WWW-Authenticate").isEmpty)
        #expect(try answer.json()["status"] as? Int == 503)
        #expect(!answer.fields.contains { $0.name.hasPrefix("X-Auth-") && $0.name != "X-Auth-Status" })
    }

    @Test func `is 503 for a credential with an unknown pepper`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let lost = try await keyWithoutPepper(server)
            let good = try await server.key()
            let client = try await server.connect()
            try expectUnavailable(try await client.ask(introspection("token=\(lost)", caller.authorization)))
            try expectUnavailable(try await client.ask(verification("", apiKey(lost))))
            let nginx = try await client.ask(verification("?profile=nginx", apiKey(lost)))
            try expectUnavailable(nginx)
            #expect(nginx["X-Auth-Status"] == "503")
            // Other credentials are served, on the same connection.
            #expect(try await client.ask(introspection("token=\(good.secret)", caller.authorization)).isActive)
        }
    }

    @Test func `is 503 for a batch with such a credential, without any verdict`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let lost = try await keyWithoutPepper(server)
            let keys = try await server.issuer.createKeys(KeyRequest(owner: "alice", count: 40)).map {
                $0.secret.reveal()
            }
            let client = try await server.connect()
            for place in [0, 1, 15, 16, 39] {
                var asked = keys
                asked[place] = lost
                try expectUnavailable(try await client.ask(verdicts(asked, caller.authorization)))
            }
            let answer = try await client.ask(verdicts(keys, caller.authorization))
            #expect(try answer.reasons() == Array(repeating: "valid", count: 40))
        }
    }

    @Test func `is 503 for a damaged row`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key()
            try await damage(key.id, in: server.fixture.store)
            let client = try await server.connect()
            try expectUnavailable(try await client.ask(introspection("token=\(key.secret)", caller.authorization)))
            try expectUnavailable(try await client.ask(verification("", apiKey(key.secret))))
            try expectUnavailable(try await client.ask(verification("?api_key=\(key.secret)")))
        }
    }

    @Test func `is 503 if the caller cannot be authenticated`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let about = "token=\(try await server.key().secret)"
            let key = try await keyWithoutPepper(server, scope: "countersign:introspect")
            let secret = try await server.issuer.client(caller.id)?.secrets.first
            try await damage(try #require(secret).id, in: server.fixture.store)
            let client = try await server.connect()
            try expectUnavailable(try await client.ask(introspection(about, caller.authorization)))
            try expectUnavailable(try await client.ask(introspection(about + "&" + caller.parameters)))
            try expectUnavailable(try await client.ask(introspection(about, apiKey(key))))
        }
    }

    @Test func `is 503 if the store is closed`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let known = try await server.key()
            let unknown = try await server.key()
            let client = try await server.connect()
            #expect(try await client.ask(introspection("token=\(known.secret)", caller.authorization)).isActive)
            server.fixture.close()
            try expectUnavailable(try await client.ask(introspection("token=\(unknown.secret)", caller.authorization)))
            try expectUnavailable(try await client.ask(verification("", apiKey(unknown.secret))))
        }
    }
}
