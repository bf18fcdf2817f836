import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

/// Rule 11: nginx passes on 200, 401 and 403, and makes 500 of all else.
@Suite(.timeLimit(.minutes(10))) struct `The profile for nginx` {
    @Test func `has only statuses that nginx passes on, and the real one beside`() async throws {
        try await withServer { server in
            let key = try await server.key().secret
            let client = try await server.connect()
            let cases: [(String, [String], Int, String)] = [
                ("", [apiKey(key)], 200, "200"), ("", [], 401, "401"), ("", [apiKey("x")], 401, "401"),
                ("", ["Authorization: Basic YTpi"], 401, "401"), ("&scope=a", [apiKey(key)], 403, "403"),
                ("", ["Authorization: Bearer"], 403, "400"), ("", [apiKey(key), apiKey(key)], 403, "400"),
                ("", ["X-Forwarded-Uri: /", "X-Original-URI: /x"], 403, "400"),
                ("", ["X-Original-URI: /?api_key=a&api_key=b"], 403, "400"),
                ("", ["Authorization: Basic YTpi", "X-Original-URI: /?api_key=a"], 403, "400"),
                ("&scope=", [apiKey(key)], 403, "400"), ("&audience=", [apiKey(key)], 403, "400"),
                ("&scope=a&scope=b", [], 403, "400"),
            ]
            for (more, fields, status, real) in cases {
                for query in ["?profile=nginx" + more, "?" + more.dropFirst() + "&%70rofile=ngin%78"] {
                    let answer = try await client.ask(verification(query, fields: fields))
                    #expect(answer.status == status && answer["X-Auth-Status"] == real, "\(query) \(fields)")
                    let challenges = answer.values("WWW-Authenticate")
                    #expect(challenges.count == (status == 200 ? 0 : 1))
                    if real == "400" { #expect(challenges[0].contains("error=\"invalid_request\"")) }
                    if status == 200 { #expect(answer.isAllowed) }
                }
            }
            // Without it there is no such field.
            #expect(try await client.ask(verification("", apiKey(key)))["X-Auth-Status"] == nil)
            #expect(try await client.ask(verification("", "X-Auth-Status: 200")).values("X-Auth-Status").isEmpty)
        }
    }

    @Test func `is spoken in HTTP 1.0 too, as nginx's sub-requests are`() async throws {
        try await withServer { server in
            let key = try await server.key().secret
            let client = try await server.connect()
            for _ in 0..<3 {
                let answer = try await client.ask(
                    "GET /verify?profile=nginx HTTP/1.0\r\nConnection: keep-alive\r\n\(apiKey(key))\r\n\r\n")
                #expect(answer.isAllowed && answer["Connection"] == "keep-alive")
            }
            let last = try await client.ask("GET /verify?profile=nginx HTTP/1.0\r\n\(apiKey(key))\r\n\r\n")
            #expect(last.isAllowed && last["Connection"] == "close")
            #expect(try await client.rest().isEmpty)
        }
    }
}
