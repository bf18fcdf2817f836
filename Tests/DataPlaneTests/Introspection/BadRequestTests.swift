import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

/// Rule 4: malformed requests are refused, and never answered as "inactive".
@Suite(.timeLimit(.minutes(10))) struct `A malformed introspection` {
    @Test func `is answered 400 invalid_request`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key().secret
            let client = try await server.connect()
            for form in [
                "", "token", "token=", "other=\(key)", "TOKEN=\(key)", "token=\(key)&token=\(key)",
                "token=\(key)&%74oken=x", "token=%", "token=%4", "token=%zz", "token=\(key)%",
                "token=%FF", "token=%C3", "token=%C0%80", "token=%ED%A0%80", "token=\(key)&x=%", "token=\(key)&%=1",
                "token=\(key)&x=%FE", "token=\(key)&client_ip=1.2.3",
                "token=\(key)&client_ip=10.0.0.1&client_ip=10.0.0.1", "token=\(key)&client_ip=10.0.0.1:80",
                "token=\(key)&client_ip=%5B::1%5D", "token=\(key)&client_ip=fe80::1%25eth0",
                "token=\(key)&client_ip=10.0.0.0/8", "token=\(key)&client_ip=unknown",
                "token=\(key)&client_ip=010.0.0.1",
                "token=\(key)&client_ip=%2010.0.0.1",
            ] {
                let answer = try await client.ask(introspection(form, caller.authorization))
                #expect(answer.status == 400, "\(form): \(answer.status)")
                #expect(answer["Content-Type"] == "application/json" && answer["Cache-Control"] == "no-store")
                #expect(try answer.json()["error"] as? String == "invalid_request")
                #expect(!answer.text.contains(key))
            }
            // A parameter without a value counts as absent (RFC 6749 §3.1).
            for form in ["token=\(key)", "token=\(key)&token=", "token&token=\(key)", "token=\(key)&client_ip="] {
                #expect(try await client.ask(introspection(form, caller.authorization)).isActive, "\(form.count)")
            }
        }
    }

    @Test func `has the token in the URL, whatever the body has`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key().secret
            let client = try await server.connect()
            for query in ["token=\(key)", "a=b&token=", "%74oken=\(key)", "token", "token=%zz", "token=a&token=b"] {
                let path = "/oauth2/introspect?\(query)"
                for form in ["token=\(key)", "x=y"] {
                    let answer = try await client.ask(introspection(form, caller.authorization, path: path))
                    #expect(answer.status == 400, "\(query)")
                }
                #expect(try await client.ask(introspection("token=\(key)", path: path)).status == 401)
            }
            // Other parameters in the URL are ignored.
            for query in ["", "scope=read", "tokens=1", "client_ip=1"] {
                let answer = try await client.ask(
                    introspection("token=\(key)", caller.authorization, path: "/oauth2/introspect?\(query)"))
                #expect(answer.isActive, "\(query)")
            }
        }
    }

    @Test(arguments: [
        "application/json", "multipart/form-data; boundary=x", "text/plain", "application/x-www-form-urlencodedx", "",
        "application/x-www-form-urlencoded/x", "x-www-form-urlencoded", "application/x-www-form-urlencoded, text/plain",
    ])
    func `has a body that is not a form: 415`(_ type: String) async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key().secret
            let client = try await server.connect()
            let answer = try await client.ask(
                request(
                    "POST /oauth2/introspect", ["Content-Type: \(type)", caller.authorization], body: "token=\(key)"))
            #expect(answer.status == 415 && answer["Content-Type"] == "application/problem+json")
            #expect(try answer.json()["status"] as? Int == 415)
            #expect(server.lookUps == 0)
        }
    }

    @Test func `has two media types, and none is required`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key().secret
            let form = "Content-Type: application/x-www-form-urlencoded"
            let client = try await server.connect()
            #expect(
                try await client.ask(request("POST /oauth2/introspect", [caller.authorization], body: "token=\(key)"))
                    .isActive)
            for fields in [[form, form], [form, "Content-Type: application/json"]] {
                let answer = try await client.ask(
                    request("POST /oauth2/introspect", fields + [caller.authorization], body: "token=\(key)"))
                #expect(answer.status == 415)
            }
            for type in [
                "application/x-www-form-urlencoded; charset=utf-8", "Application/X-WWW-Form-URLEncoded",
                "application/x-www-form-urlencoded;charset=UTF-8",
            ] {
                let answer = try await client.ask(
                    request(
                        "POST /oauth2/introspect", ["Content-Type: \(type)", caller.authorization],
                        body: "token=\(key)"))
                #expect(answer.isActive, "\(type)")
            }
        }
    }

    @Test(arguments: ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "post", "BREW"])
    func `has another method than POST: 405`(_ method: String) async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let answer = try await server.connect().ask(
                request("\(method) /oauth2/introspect?token=x", [caller.authorization]), isHead: method == "HEAD")
            #expect(answer.status == 405 && answer["Allow"] == "POST")
            #expect(server.lookUps == 0)
        }
    }

    @Test func `has more than 64 KiB: 413`() async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let key = try await server.key().secret
            let prefix = "token=\(key)&x="
            let most = prefix + String(repeating: "y", count: 65_536 - prefix.utf8.count)
            let client = try await server.connect()
            #expect(try await client.ask(introspection(most, caller.authorization)).isActive)
            let answer = try await client.ask(introspection(most + "y", caller.authorization))
            #expect(answer.status == 413 && answer["Connection"] == "close")
            #expect(try await client.rest().isEmpty)
        }
    }

    @Test(arguments: [
        "/oauth2/introspect/", "/oauth2//introspect", "/oauth2/Introspect", "/oauth2/introspect%20",
        "/oauth2/introspec%74",
        "/x/../oauth2/introspect", "/oauth2/introspect;a", "/", "/verify/", "//verify", "/metrics",
    ])
    func `has another path: 404`(_ path: String) async throws {
        try await withServer { server in
            let caller = try await server.caller()
            let answer = try await server.connect().ask(introspection("token=x", caller.authorization, path: path))
            #expect(answer.status == 404 && answer["Content-Type"] == "application/problem+json")
            #expect(!answer.text.contains(path) || path == "/")
        }
    }
}
