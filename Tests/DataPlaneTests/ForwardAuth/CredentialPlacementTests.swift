import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

/// Rules 9 and 10: where a credential may stand and how it is spelled.
@Suite(.timeLimit(.minutes(10))) struct `A presented credential` {
    private enum Outcome: String {
        case allowed, unchallenged, invalidToken, invalidRequest
    }

    private func outcome(_ answer: Answer) throws -> Outcome? {
        if answer.isAllowed { return .allowed }
        if try answer.isUnchallenged { return .unchallenged }
        if try answer.isInvalidToken { return .invalidToken }
        return try answer.isInvalidRequest ? .invalidRequest : nil
    }

    @Test func `has its scheme in front, spelled as RFC 9110 has it`() async throws {
        try await withServer { server in
            let key = try await server.key().secret
            let token = try await server.token().secret
            let client = try await server.connect()
            let cases: [(String, Outcome)] = [
                ("Bearer \(token)", .allowed), ("bearer \(token)", .allowed), ("BEARER \(token)", .allowed),
                ("bEaReR     \(token)", .allowed), ("ApiKey \(key)", .allowed), ("apikey \(key)", .allowed),
                ("APIKEY  \(key)  ", .allowed), ("Bearer \(key)", .invalidToken), ("ApiKey \(token)", .invalidToken),
                ("Bearer \(token)x", .invalidToken), ("Bearer \(token)=", .invalidToken),
                ("Bearer\t\(token)", .invalidRequest), ("Bearer \t\(token)", .invalidRequest),
                ("Bearer \"\(token)\"", .invalidRequest), ("Bearer =\(token)", .invalidRequest),
                ("Bearer \(token)\u{FC}", .invalidRequest), ("Bearer \(token) \(token)", .invalidRequest),
                ("Bearer \(token),", .invalidRequest), ("Bearer \(token), ApiKey \(key)", .invalidRequest),
                ("ApiKey \(key),\(key)", .invalidRequest), ("Bearer", .invalidRequest), ("Bearer ", .invalidRequest),
                ("ApiKey", .invalidRequest), ("apikey   ", .invalidRequest), ("", .invalidRequest),
                ("Basic", .invalidRequest),
                (", Bearer \(token)", .invalidRequest), ("Bearer: \(token)", .invalidRequest),
                ("=Bearer \(token)", .invalidRequest), ("\"Bearer\" \(token)", .invalidRequest),
                ("Bearer " + String(repeating: "x", count: 8_193), .invalidRequest),
                ("Basic YTpi", .unchallenged), ("Digest username=\"a\", realm=\"b\"", .unchallenged),
                ("Negotiate YTpi", .unchallenged), ("Token \(key)", .unchallenged), ("\(key)", .unchallenged),
                ("Bearer\(token)", .unchallenged), ("Bearer\u{FC} \(token)", .invalidRequest),
            ]
            for (value, expected) in cases {
                let answer = try await client.ask(verification("", "Authorization: \(value)"))
                #expect(try outcome(answer) == expected, "\(value.prefix(60)): \(answer.status)")
            }
            // The name counts without case, and so does nothing else.
            #expect(try await client.ask(verification("", "aUTHORIZATION: ApiKey \(key)")).isAllowed)
            for name in ["Proxy-Authorization", "X-Authorization", "Authorization_", "X-Forwarded-Authorization"] {
                #expect(try await client.ask(verification("", "\(name): ApiKey \(key)")).isUnchallenged)
            }
        }
    }

    @Test func `comes alone: two are 400, even if they are equal`() async throws {
        try await withServer { server in
            let key = try await server.key().secret
            let token = try await server.token().secret
            let client = try await server.connect()
            let uri = "X-Forwarded-Uri: /x?api_key=\(key)"
            for fields in [
                [apiKey(key), uri], [bearer(token), uri], ["Authorization: Basic YTpi", uri],
                ["Authorization: Digest x=\"y\"", uri], ["Authorization: Bearer", uri], ["Authorization:", uri],
                [apiKey(key), apiKey(key)], [apiKey(key), bearer(token)], [apiKey(key), "authorization: Basic YTpi"],
                ["Authorization: Basic YTpi", "Authorization: Basic YTpi"], [apiKey(key), "Authorization:"],
                [apiKey(key), "X-Forwarded-Uri: /x?api%5fkey=\(key)"], [apiKey(key), "X-Original-URI: /x?api_key="],
            ] {
                #expect(try await client.ask(verification(fields: fields)).isInvalidRequest, "\(fields)")
            }
            #expect(try await client.ask(verification("?api_key=\(key)", apiKey(key))).isInvalidRequest)
        }
    }

    @Test func `may stand in a query, under one name`() async throws {
        try await withServer { server in
            let key = try await server.key().secret
            let token = try await server.token().secret
            let client = try await server.connect()
            let cases: [(String, Outcome)] = [
                ("api_key=\(key)", .allowed), ("a=b&api_key=\(key)&c", .allowed), ("api%5Fkey=\(key)", .allowed),
                ("api%5fkey=\(key)", .allowed), ("%61%70%69%5F%6B%65%79=\(percentEncoded(key))", .allowed),
                ("&&api_key=\(key)&", .allowed), ("api_key=\(key)&API_KEY=x", .allowed),
                ("api_key=\(key)&a=%", .allowed),
                ("API_KEY=\(key)", .unchallenged), ("Api_Key=\(key)", .unchallenged), ("api-key=\(key)", .unchallenged),
                ("api%255Fkey=\(key)", .unchallenged), ("api+key=\(key)", .unchallenged),
                ("apikey=\(key)", .unchallenged),
                ("a=b;api_key=\(key)", .unchallenged), ("a;api_key=\(key);b", .unchallenged),
                ("access_token=\(token)", .unchallenged), ("api_key%20=\(key)", .unchallenged),
                ("%00api_key=\(key)", .unchallenged), ("api_key%3D\(key)", .unchallenged),
                ("api_key=\(key);a=b", .invalidToken), ("api_key=x", .invalidToken),
                ("api_key=\(token)", .invalidToken),
                ("api_key=\(key)&api_key=\(key)", .invalidRequest), ("api_key=a&api_key=b", .invalidRequest),
                ("api_key=\(key)&api%5Fkey=\(key)", .invalidRequest), ("api_key=\(key)&api_key=", .invalidRequest),
                ("api_key=\(key)&api_key", .invalidRequest), ("api_key=", .invalidRequest),
                ("api_key", .invalidRequest),
                ("api_key=%", .invalidRequest), ("api_key=\(key)%0", .invalidRequest), ("api_key=%FF", .invalidRequest),
                ("api_key==\(key)", .invalidRequest), ("api_key=+\(key)", .invalidRequest),
                ("api_key=\(key)%2C", .invalidRequest), ("api_key=%22\(key)%22", .invalidRequest),
                ("api_key=\(key)%00", .invalidRequest), ("api_key=\(key)+", .invalidRequest),
            ]
            for (query, expected) in cases {
                for ask in [
                    verification("", "X-Forwarded-Uri: /x?\(query)"), verification("", "X-Original-URI: /x?\(query)"),
                    // Without an original URI, the gateway's own query may be the client's.
                    verification("?" + query),
                ] {
                    let answer = try await client.ask(ask)
                    #expect(try outcome(answer) == expected, "\(query): \(answer.status)")
                }
            }
        }
    }

    @Test func `in the gateway's own query counts only without an original URI`() async throws {
        try await withServer { server in
            let key = try await server.key().secret
            let client = try await server.connect()
            for uri in ["/", "/x", "/x?a=b", "/x?", "", "*"] {
                for name in ["X-Forwarded-Uri", "X-Original-URI"] {
                    let answer = try await client.ask(verification("?api_key=\(key)", "\(name): \(uri)"))
                    #expect(try answer.isUnchallenged, "\(name): \(uri)")
                }
            }
            #expect(try await client.ask(verification("?api_key=x", "X-Original-URI: /?api_key=\(key)")).isAllowed)
            // What is not in a query is none.
            for uri in ["/api_key=\(key)", "/x%3Fapi_key=\(key)", "api_key=\(key)"] {
                #expect(try await client.ask(verification("", "X-Original-URI: \(uri)")).isUnchallenged, "\(uri)")
            }
        }
    }
}
