import CredentialModel
import DataPlane
import Foundation
import Issuance
import Testing

@Suite struct `A token review` {
    private func review(_ token: String, _ audiences: [String]? = nil, version: String = "v1") throws -> String {
        var spec: [String: Any] = ["token": token]
        if let audiences { spec["audiences"] = audiences }
        let object: [String: Any] = [
            "apiVersion": "authentication.k8s.io/\(version)", "kind": "TokenReview", "spec": spec,
            "metadata": ["creationTimestamp": NSNull()], "status": ["user": [String: Any]()],
        ]
        return String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
    }

    private func ask(
        _ client: WireClient, _ body: String, _ authorization: String?, type: String? = "application/json",
        method: String = "POST"
    ) async throws -> Answer {
        let lines = [
            "\(method) /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1", "Host: a",
            "Content-Length: \(body.utf8.count)",
        ]
        return try await client.ask(
            (lines + [authorization, type.map { "Content-Type: \($0)" }].compactMap { $0 }).joined(separator: "\r\n")
                + "\r\n\r\n" + body)
    }

    private func status(_ answer: Answer) throws -> [String: Any] {
        let object = try answer.json()
        #expect(
            object["apiVersion"] as? String == "authentication.k8s.io/v1" && object["kind"] as? String == "TokenReview")
        return try #require(object["status"] as? [String: Any])
    }

    @Test func `returns the user only of an accepted credential`() async throws {
        try await withServer { server in
            let caller = try await server.caller(rights: ["introspect"])
            let client = try await server.connect()
            let key = try await server.issuer.createKeys(
                KeyRequest(owner: "al\"ice", scope: ["pods:read", "pods:write"]))[0]
            let status = try status(try await ask(client, review(key.secret.reveal()), caller.authorization))
            let user = try #require(status["user"] as? [String: Any])
            #expect(status["authenticated"] as? Bool == true && status["audiences"] == nil)
            #expect(user["username"] as? String == "al\"ice" && user["uid"] as? String == "al\"ice")
            #expect(user["groups"] as? [String] == ["scope:pods:read", "scope:pods:write"])
            #expect((user["extra"] as? [String: [String]])?["countersign/id"] == [key.summary.id.description])
            _ = try await server.issuer.revoke([key.summary.id], chain: false)
            for token in [key.secret.reveal(), "", "nonsense", caller.secret] {
                let answer = try await ask(client, review(token), caller.authorization)
                #expect(answer.status == 200)
                #expect(try answer.json()["status"] as? [String: Bool] == ["authenticated": false])
            }
        }
    }

    @Test func `is refused for the credential of its caller`() async throws {
        try await withServer { server in
            let client = try await server.connect()
            let key = try await server.issuer.createKeys(
                KeyRequest(owner: "cluster", scope: ["countersign:introspect"]))[0].secret.reveal()
            for scheme in ["Bearer", "ApiKey"] {
                let answer = try await ask(client, review(key), "Authorization: \(scheme) \(key)")
                #expect(answer.status == 401 && answer["WWW-Authenticate"]?.contains("invalid_token") == true)
            }
        }
    }

    @Test func `has the version of the request, an empty spec, and needs no media type`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let client = try await server.connect()
            let key = try await server.key().secret
            for version in ["v1", "v1beta1"] {
                for (token, isGood) in [(key, true), ("x", false)] {
                    let answer = try await ask(client, review(token, version: version), caller.authorization, type: nil)
                    let object = try answer.json()
                    #expect(object["apiVersion"] as? String == "authentication.k8s.io/\(version)")
                    #expect((object["spec"] as? [String: Any])?.isEmpty == true)
                    #expect((object["status"] as? [String: Any])?["authenticated"] as? Bool == isGood)
                }
            }
            for version in ["v1alpha1", "v1beta", "v2", "v1beta11"] {
                #expect(try await ask(client, review(key, version: version), caller.authorization).status == 400)
            }
        }
    }

    @Test(
        arguments: [
            ("", "scope:", "system:kube-controller-manager", nil, ["scope:a", "scope:system:masters"]),
            ("", "", "jane", "jane", ["a"]),
            ("cs:", "cs:", "system:admin", "cs:system:admin", ["cs:a", "cs:system:masters"]),
            ("sys", "syste", "tem:admin", nil, []),
            ("", "scope:", "systemd", "systemd", ["scope:a", "scope:system:masters"]),
            ("s", "", "ystem:x", nil, []), ("", "scope:", "System:x", "System:x", ["scope:a", "scope:system:masters"]),
        ] as [(String, String, String, String?, [String])])
    func `never returns a reserved name of the cluster`(
        _ userPrefix: String, _ groupPrefix: String, _ owner: String, _ name: String?, _ groups: [String]
    ) async throws {
        try await withServer(settings: {
            $0.tokenReviewUserPrefix = Array(userPrefix.utf8)
            $0.tokenReviewGroupPrefix = Array(groupPrefix.utf8)
        }) { server in
            let caller = try await server.caller()
            let client = try await server.connect()
            let key = try await server.key(KeyRequest(owner: owner, scope: ["a", "system:masters"])).secret
            let status = try status(try await ask(client, review(key), caller.authorization))
            #expect(status["authenticated"] as? Bool == (name != nil))
            let user = status["user"] as? [String: Any]
            #expect(user?["username"] as? String == name)
            #expect((user?["groups"] as? [String] ?? groups).sorted() == groups)
        }
    }

    @Test func `cannot be configured to return one`() {
        for prefix in ["system:", "system:x", "a b", String(repeating: "a", count: 65)] {
            var settings = DataPlaneSettings()
            settings.tokenReviewUserPrefix = Array(prefix.utf8)
            #expect(throws: (any Error).self) { try settings.check() }
            settings = DataPlaneSettings()
            settings.tokenReviewGroupPrefix = Array(prefix.utf8)
            #expect(throws: (any Error).self) { try settings.check() }
        }
    }

    @Test func `returns the audiences in common`() async throws {
        try await withServer { server in
            let caller = try await server.caller(audience: ["https://a", "https://b", "https://c"])
            let client = try await server.connect()
            func audiences(_ own: [String], _ asked: [String]?) async throws -> [String]? {
                let key = try await server.issuer.createKeys(KeyRequest(owner: "a", audience: own))[0].secret.reveal()
                let status = try status(try await ask(client, review(key, asked), caller.authorization))
                return status["authenticated"] as? Bool == true ? status["audiences"] as? [String] ?? [] : nil
            }
            #expect(try await audiences([], ["https://a", "x"]) == ["https://a", "x"])
            #expect(try await audiences(["https://a", "https://b"], ["https://b", "https://c"]) == ["https://b"])
            #expect(try await audiences(["https://a"], ["https://c"]) == nil)
            #expect(try await audiences(["https://a"], nil) == [])
            #expect(try await audiences(["https://other"], nil) == nil)
            let limited = try await server.issuer.createKeys(KeyRequest(owner: "a", networks: ["127.0.0.0/8"]))[0]
            let answer = try await ask(client, review(limited.secret.reveal()), caller.authorization)
            #expect(try status(answer)["authenticated"] as? Bool == false)
        }
    }

    @Test func `needs an authenticated caller and a valid body`() async throws {
        try await withServer { server in
            let caller = try await server.caller(rights: ["introspect"])
            let none = try await server.caller(rights: [])
            let client = try await server.connect()
            #expect(try await ask(client, review("x"), nil).status == 401)
            #expect(try await ask(client, review("x"), none.authorization).status == 403)
            #expect(try await ask(client, review("x"), caller.authorization, type: "text/plain").status == 415)
            #expect(try await ask(client, "", caller.authorization, method: "GET").status == 405)
            let good = try review("x")
            for body in [
                "", "[]", "{}", good + "x", good.replacing("TokenReview", with: "Pod"),
                good.replacing("k8s.io", with: "k9s.io"),
                #"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{}}"#,
                #"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":1}}"#,
                #"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"a","token":"b"}}"#,
                #"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"a","audiences":[1]}}"#,
                #"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"a"},"spec":{"token":"b"}}"#,
            ] {
                #expect(try await ask(client, body, caller.authorization).status == 400, "\(body)")
            }
            let empty =
                #"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"a","audiences":null}}"#
            #expect(try await ask(client, empty, caller.authorization).status == 200)
        }
    }
}
