import ControlPlaneFixture
import CredentialModel
import Foundation
import Issuance
import Testing

/// `Expect: 100-continue` (RFC 9110 §10.1.1): the body is requested when the head is admitted. A request that is
/// refused by its head gets its final status and no `100 Continue` before it.
@Suite(.timeLimit(.minutes(3))) struct `A client that waits for 100 Continue` {
    /// A head that announces a body and waits.
    private func head(
        _ line: String, _ fields: [String: String] = [:], type: String = "application/json", bytes: Int = 16
    ) -> String {
        var text = "\(line) HTTP/1.1\r\nHost: a\r\nContent-Type: \(type)\r\n"
        for (name, value) in fields { text += "\(name): \(value)\r\n" }
        return text + "Content-Length: \(bytes)\r\nExpect: 100-continue\r\n\r\n"
    }

    private func key(_ plane: OAuthFixture, _ scope: String) async throws -> [String: String] {
        let key = try await plane.issuer.createKeys(KeyRequest(owner: "operator", scope: [scope]))[0]
        return ["Authorization": "ApiKey \(key.secret.reveal())"]
    }

    private let form = "application/x-www-form-urlencoded"

    @Test func `is not told to send what is refused`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let admin = try await key(plane, "countersign:admin")
            let reader = try await key(plane, "countersign:keys:read")
            let client = try await plane.client(#""name": "app", "grant_types": ["client_credentials"]"#)
            let wrong = OAuthFixture.basic(client.id, "nonsense")
            let good = OAuthFixture.basic(client.id, client.secret)
            let cases: [(String, Int)] = [
                (head("POST /v1/keys"), 401), (head("POST /v1/keys", ["Authorization": "ApiKey x"]), 401),
                (head("POST /v1/keys", reader), 403), (head("POST /v1/keys", admin, type: form), 415),
                (head("POST /v1/keys", admin, bytes: 2_000_000), 413),
                (head("POST /v1/keys?x=y", admin), 400), (head("PUT /v1/keys", admin), 405),
                (head("POST /v1/nothing", admin), 404), (head("POST /v1/keys/import", reader), 403),
                (head("POST /v1/keys/import", admin, bytes: 9_000_000), 413),
                (head("POST /oauth2/token", wrong, type: form), 401),
                (head("POST /oauth2/token", good, type: form, bytes: 70_000), 400),
                (head("POST /oauth2/token", good, type: "text/plain"), 400),
                (head("POST /oauth2/revoke", wrong, type: form), 401),
                (head("POST /v1/leaks", bytes: 20_000), 413),
            ]
            for (head, status) in cases {
                let received = try await RawConnection.exchange(
                    "http://127.0.0.1:\(plane.port)", [Array(head.utf8)])
                let answers = try RawAnswer.all(in: received)
                #expect(answers.map(\.status) == [status], "\(head)")
                #expect(answers.first?["Connection"] == "close", "\(head)")
            }
        }
    }

    @Test func `is told to send what is admitted, once`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let admin = try await key(plane, "countersign:admin")
            let client = try await plane.client(#""name": "app", "grant_types": ["client_credentials"]"#)
            let grant = "grant_type=client_credentials"
            let cases = [
                ("POST /v1/keys", admin, "application/json", #"{"owner": "acme"}"#, 201),
                ("POST /oauth2/token", OAuthFixture.basic(client.id, client.secret), form, grant, 200),
                // Its credentials are in the body.
                (
                    "POST /oauth2/token", [:], form,
                    grant + "&client_id=\(client.id)&client_secret=\(client.secret)", 200
                ),
                ("POST /v1/leaks", [:], "application/json", #"{"credential": "x"}"#, 202),
            ]
            for (line, var fields, type, body, status) in cases {
                fields["Connection"] = "close"
                let received = try await RawConnection.exchange(
                    "http://127.0.0.1:\(plane.port)",
                    [head(line, fields, type: type, bytes: body.utf8.count), body].map { Array($0.utf8) })
                #expect(try RawAnswer.all(in: received).map(\.status) == [100, status], "\(line)")
            }
        }
    }
}
