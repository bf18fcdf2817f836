import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

/// The headers that describe the request to judge and its client.
@Suite(.timeLimit(.minutes(10))) struct `The original request` {
    @Test func `is described by either header set, and by both only if they agree`() async throws {
        try await withServer { server in
            let key = try await server.key().secret
            let client = try await server.connect()
            let uri = "/x?api_key=\(key)"
            for fields in [
                ["X-Forwarded-Uri: \(uri)"], ["X-Original-URI: \(uri)"],
                ["x-original-uri: \(uri)", "x-FORWARDED-uri: \(uri)"],
                ["X-Forwarded-Uri: \(uri)", "X-Forwarded-Method: GET", "X-Original-Method: GET"],
                [
                    "X-Forwarded-Uri: \(uri)", "X-Original-Method: PUT", "X-Forwarded-Host: a",
                    "X-Forwarded-Proto: https",
                ],
            ] {
                let answer = try await client.ask(verification(fields: fields))
                #expect(answer.isAllowed && answer["X-Auth-Uri"] == "/x", "\(fields)")
            }
            for fields in [
                ["X-Forwarded-Uri: \(uri)", "X-Original-URI: /x"], ["X-Forwarded-Uri: /x", "X-Original-URI: \(uri)"],
                ["X-Forwarded-Uri: \(uri)", "X-Original-URI: \(uri)&"], ["X-Forwarded-Uri: \(uri)", "X-Original-URI:"],
                ["X-Forwarded-Uri: \(uri)", "X-Forwarded-Method: GET", "X-Original-Method: POST"],
                ["X-Forwarded-Uri: \(uri)", "X-Forwarded-Method: GET", "X-Original-Method: get"],
                ["X-Forwarded-Uri: \(uri)", "X-Forwarded-Uri: \(uri)"],
                ["X-Original-URI: /", "X-Original-URI: \(uri)"],
                ["X-Forwarded-Uri: \(uri)", "X-Forwarded-Host: a", "X-Forwarded-Host: a"],
                ["X-Forwarded-Uri: \(uri)", "X-Forwarded-Proto: a", "X-Forwarded-Proto: a"],
                ["X-Forwarded-Uri: \(uri)", "X-Forwarded-Method: A", "X-Forwarded-Method: A"],
                ["X-Forwarded-Uri: \(uri)", "X-Original-Method: A", "X-Original-Method: A"],
            ] {
                #expect(try await client.ask(verification(fields: fields)).isInvalidRequest, "\(fields)")
            }
        }
    }

    @Test func `is described by the configured header set, and the other is ignored`() async throws {
        try await withServer([
            "http://127.0.0.1:0?headers=x-forwarded", "http://127.0.0.1:0?headers=x-original",
        ]) { server in
            let key = try await server.key().secret
            let good = "/x?api_key=\(key)"
            for (listener, trusted, other) in [
                (0, "X-Forwarded-Uri", "X-Original-URI"), (1, "X-Original-URI", "X-Forwarded-Uri"),
            ] {
                let client = try await server.connect(listener)
                func ask(_ fields: String...) async throws -> Answer {
                    try await client.ask(verification(fields: fields))
                }
                #expect(try await ask("\(trusted): \(good)")["X-Auth-Uri"] == "/x")
                #expect(try await ask("\(trusted): \(good)", "\(other): /y")["X-Auth-Uri"] == "/x")
                #expect(try await ask("\(trusted): \(good)", "\(other): /y", "\(other): /z").isAllowed)
                #expect(try await ask("\(other): \(good)").isUnchallenged)
                #expect(try await ask("\(trusted): /x", "\(other): \(good)").isUnchallenged)
                #expect(try await ask("\(trusted): /x", "\(other): \(good)", apiKey(key))["X-Auth-Uri"] == "/x")
                #expect(try await ask("\(other): /y", apiKey(key))["X-Auth-Uri"] == "-")
                #expect(try await ask("\(trusted): \(good)", "\(trusted): \(good)").isInvalidRequest)
                // A forged description cannot hide the query of the client from a gateway that sends none.
                let own = try await client.ask(verification("?api_key=\(key)", "\(other): /y"))
                #expect(own.isAllowed)
            }
        }
    }

    private func addresses(
        _ listener: String, trusted: [String]? = nil, _ cases: [([String], Bool)]
    ) async throws {
        let networks = try trusted.map { try $0.map { try #require(Network($0)) } }
        try await withServer([listener], settings: { if let networks { $0.trustedProxies = networks } }) { server in
            let key = try await server.key(KeyRequest(owner: "n", networks: ["203.0.113.0/24", "2001:db8::/32"])).secret
            let client = try await WireClient.connect(String(server.addresses[0].split(separator: "?")[0]))
            for (fields, isAllowed) in cases {
                let answer = try await client.ask(verification(fields: [apiKey(key)] + fields))
                #expect(isAllowed ? answer.isAllowed : try answer.isInvalidToken, "\(fields)")
            }
        }
    }

    private static let walks: [([String], Bool)] = [
        (["X-Forwarded-For: 203.0.113.9"], true), (["X-Forwarded-For: 203.0.113.9, 127.0.0.1"], true),
        (["X-Forwarded-For: 198.51.100.1, 203.0.113.9"], true), (["X-Forwarded-For: 203.0.113.9, 198.51.100.1"], false),
        (["X-Forwarded-For: 203.0.113.9,127.0.0.1 ,\t127.9.9.9 , ::1"], true),
        (["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 127.0.0.1"], true),
        (["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 198.51.100.1"], false),
        (["X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 203.0.113.9"], true),
        (["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 127.0.0.2"], true),
        (["x-forwarded-FOR: 2001:db8::7"], true), (["X-Forwarded-For: [2001:db8::7]"], true),
        (["X-Forwarded-For: [2001:db8::7]:443"], true), (["X-Forwarded-For: 203.0.113.9:5555"], true),
        (["X-Forwarded-For: ::ffff:203.0.113.9"], true), (["X-Forwarded-For: 2001:db9::7"], false),
        (["X-Forwarded-For: 127.0.0.1"], false), (["X-Forwarded-For: unknown"], false),
        (["X-Forwarded-For: 203.0.113.9, unknown"], false), (["X-Forwarded-For: 203.0.113.9, "], false),
        (["X-Forwarded-For: "], false), (["X-Forwarded-For: ,203.0.113.9"], true),
        (["X-Forwarded-For: 203.0.113.9,"], false),
        (["X-Forwarded-For: 203.0.113.9, _hidden"], false), (["X-Forwarded-For: [2001:db8::7"], false),
        (["X-Forwarded-For: [2001:db8::7]x"], false), (["X-Forwarded-For: 203.0.113.999"], false),
        (["X-Forwarded-For: 203.0.113.9/24"], false), (["X-Forwarded-For: \"203.0.113.9\""], false),
        (["X-Real-IP: 203.0.113.9"], false), (["Forwarded: for=203.0.113.9"], false), ([], false),
        (["X-Original-For: 203.0.113.9"], false), (["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: "], false),
    ]

    @Test func `comes from the last hop that is not a trusted proxy`() async throws {
        try await addresses("http://127.0.0.1:0", Self.walks)
    }

    @Test func `on a Unix socket comes from the forwarded address`() async throws {
        let folder = try TemporaryFolder()
        try await addresses("unix:\(folder("s"))", Self.walks)
    }

    @Test func `never comes from a proxy: a key for the proxies' network is not valid for their clients`() async throws
    {
        try await withServer { server in
            let key = try await server.key(KeyRequest(owner: "n", networks: ["127.0.0.0/8", "::1/128"])).secret
            let client = try await server.connect()
            for fields in [[], ["X-Forwarded-For: 127.0.0.1"], ["X-Forwarded-For: ::1, 127.0.0.2"]] {
                #expect(try await client.ask(verification(fields: [apiKey(key)] + fields)).isInvalidToken)
            }
        }
        // The address of the peer counts if it is not a proxy.
        try await withServer(settings: { $0.trustedProxies = [] }) { server in
            let key = try await server.key(KeyRequest(owner: "n", networks: ["127.0.0.0/8"])).secret
            let client = try await server.connect()
            #expect(try await client.ask(verification("", apiKey(key))).isAllowed)
            #expect(try await client.ask(verification("", apiKey(key), "X-Forwarded-For: 192.0.2.1")).isAllowed)
        }
    }

    @Test func `comes from the peer if it is not a trusted proxy`() async throws {
        try await addresses(
            "http://127.0.0.1:0", trusted: ["10.0.0.0/8"],
            [
                (["X-Forwarded-For: 203.0.113.9"], false), ([], false),
                (["X-Forwarded-For: 203.0.113.9, 10.0.0.1"], false),
            ])
        try await addresses(
            "http://127.0.0.1:0", trusted: ["127.0.0.0/8", "198.51.100.0/24"],
            [
                (["X-Forwarded-For: 203.0.113.9, 198.51.100.7"], true),
                (["X-Forwarded-For: 203.0.113.9, 198.51.101.7"], false),
            ])
    }
}
