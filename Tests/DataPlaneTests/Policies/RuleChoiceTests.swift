import CredentialModel
@testable import ForwardAuth
import Foundation
import HTTPWire
import Issuance
import TestSupport
import Testing

@testable import DataPlane

/// Which rule of a policy holds for a request, and when that cannot be said.
@Suite struct `The rule of a request` {
    private func choose(_ places: [Policy.Place], host: String = "", path: String) -> String? {
        let policy = Policy(name: "p", rule: PolicyRule(scope: ["default"]), places: places)
        let (host, path) = (Array(host.utf8), Array(path.utf8))
        switch PolicySet.Entry(policy).choose(host: host.octets, path: path.octets) {
        case .rule(let rule): return String(decoding: rule.scope, as: UTF8.self)
        case .unclear: return nil
        }
    }

    private func place(_ scope: String, host: String? = nil, path: String = "/") -> Policy.Place {
        Policy.Place(host: host, path: path, rule: PolicyRule(scope: [scope]))
    }

    @Test func `by host is chosen for one well-formed host, and for nothing else`() {
        let places = [place("admin", host: "admin.example"), place("address", host: "192.0.2.7")]
        for host in ["admin.example", "ADMIN.Example", "admin.example.", "admin.example:8443", "admin.example.:"] {
            #expect(choose(places, host: host, path: "/x") == "admin", "\(host)")
        }
        #expect(choose(places, host: "192.0.2.7:80", path: "/x") == "address")
        for host in ["other.example", "xadmin.example", "admin.example.org", "[::1]:80", "192.0.2.8", "a_b.example"] {
            #expect(choose(places, host: host, path: "/x") == "default", "\(host)")
        }
        for host in [
            "", ".", " ", "x, admin.example", "admin.example, inner.example", "admin.example,", "user@admin.example",
            "admin.example..", ".admin.example", "admin..example", "admin%2eexample", "admin.example/",
            "admin.example ",
            "admin.example:x", "admin.example:80:80", "admin.example:123456", "admin.example\t", "ädmin.example",
            "admin。example", "admin.example?x", "admin.example#x", "admin\\example", "[::1", "[::1]x",
            "[admin.example]",
            "3221225991", "0xC0000207", "192.0.519", "0300.0.2.7", "192.0.2.07", "192.0.2.7.0x0",
            String(repeating: "a", count: 254),
        ] {
            #expect(choose(places, host: host, path: "/x") == nil, "\(host)")
        }
        // Without rules by host, nobody asks for it.
        #expect(choose([place("admin", path: "/admin")], host: "x, y", path: "/admin") == "admin")
    }

    @Test func `by path is chosen only if no server could take the path for another rule's`() {
        let places = [
            place("admin", path: "/admin"), place("users", path: "/admin/users"), place("colon", path: "/a:b"),
            place("dots", path: "/v1.2/x"),
        ]
        for (path, scope) in [
            ("/admin", "admin"), ("/admin/", "admin"), ("/admin/x", "admin"), ("/admin/users/7", "users"),
            ("/administration", "default"), ("/x/ADMIN", "default"), ("/orders/%E4%B8%AD", "default"),
            ("/a:b", "colon"), ("/v1.2/x", "dots"), ("/v1.3/x", "default"), ("/a.dmin", "default"),
            ("/admin/%EF%BC%A1", "admin"), ("/admin%CC%B8", "default"), ("/admin/x.%20y", "admin"),
        ] {
            #expect(choose(places, path: path) == scope, "\(path)")
        }
        for path in [
            "/ADMIN", "/Admin/x", "/admin.", "/admin...", "/admin%20", "/admin.%20/x", "/admin/Users",
            "/admin/users./1",
            "/%EF%BC%8Fadmin", "/%EF%BD%81dmin", "/%C2%ADadmin", "/ad%E2%80%8Bmin", "/adm%C4%B1n",
            "/adm%C4%B0n", "/adm%c4%b0n",
            "/%F0%9D%90%9Admin", "/a%3Ab", "/a%3ab", "/A:b", "/admin%C2%A0", "/admin%E2%80%A4", "/V1.2/x",
            "/v1%E2%80%A42/x",
            "/admin%EF%BC%8Fx", "/x%EF%BC%9Badmin", "/admin%EF%BC%9Fx", "/admin#x", "/admin?x", "/admin\\x",
            "/.../admin",
            "/%20/admin", "/%E2%80%8B/admin", "/%C0%AFadmin", "/%E9", "/%ED%A0%80", "/%F4%90%80%80", "/%", "/a%2", "",
            "admin", "//admin", "/x/../admin", "/%61dmin", "/admin\u{0}", "/admin\t", "/x%EF%BC%85admin",
        ] {
            #expect(choose(places, path: path) == nil, "\(path)")
        }
    }

    /// Whatever a rule is found for by its bytes is also found folded: otherwise that rule would refuse its own requests.
    @Test func `is the one of the exact path, for every path that a rule can have`() {
        for path in ["/A.b", "/x%20y", "/a.", "/a/B.%20/c", "/a!$&'()*+,=:@", "/~a-b_c"] {
            let rule = RulePath(path)
            for request in [path, path + "/", path + "/more"] {
                let bytes = Array(request.utf8)
                #expect(rule.holds(for: bytes.octets) && rule.mayHold(for: bytes.octets), "\(request)")
            }
        }
    }

    /// The committed table against another implementation of Unicode.
    @Test func `takes every character for what Foundation's compatibility forms make of it`() {
        var table = 0
        for code in UInt32(0x80)...0x1FFFF {
            guard let scalar = Unicode.Scalar(code) else { continue }
            let text = String(scalar).precomposedStringWithCompatibilityMapping
            let forms = [text.lowercased(), text.uppercased().lowercased()].filter { $0.utf8.allSatisfy { $0 < 0x80 } }
            let reading = PathFoldingTable.reading(of: code)
            if reading != nil { table += 1 }
            // Characters of Unicode versions that only one of the two knows are told from others by having no form here.
            guard !forms.isEmpty, scalar.properties.age.map({ $0.major < 14 }) == true else { continue }
            let word = reading.map { reading in
                String(
                    decoding: (0..<4).map { UInt8(truncatingIfNeeded: reading >> ($0 * 8)) }.filter { $0 != 0 },
                    as: UTF8.self)
            }
            #expect(word.map(forms.contains) == true, "U+\(String(code, radix: 16)): \(word ?? "none") for \(forms)")
        }
        #expect(table > 1_000)
    }
}

/// A listener reads the original request from the header set that it was told, and from nothing else.
@Suite(.timeLimit(.minutes(10))) struct `A listener that trusts one header set` {
    private static let policies = [
        Policy(
            name: "site", rule: PolicyRule(scope: ["orders:admin"], allowsPreflight: true),
            places: [.init(host: "public.example", rule: PolicyRule(scope: ["orders:read"]))]),
        Policy(name: "plain", rule: PolicyRule(scope: ["orders:read"], allowsPreflight: true)),
    ]

    private func serve(_ listener: String, _ body: (WireClient, String) async throws -> Void) async throws {
        let set = try PolicySet(Self.policies)
        try await withServer([listener], settings: { $0.policies = set }) { server in
            let key = try await server.key(
                KeyRequest(owner: "n", scope: ["orders:read"], networks: ["203.0.113.0/24"])
            ).secret
            try await body(try await server.connect(), key)
        }
    }

    private func status(
        _ client: WireClient, _ fields: [String], policy: String = "site", host: String = "verify.test"
    ) async throws -> Int {
        let lines = ["GET /verify?policy=\(policy) HTTP/1.1", "Host: \(host)", "X-Original-URI: /x"] + fields
        return try await client.ask(lines.joined(separator: "\r\n") + "\r\n\r\n").status
    }

    @Test func `takes no host from fields of the other set`() async throws {
        try await serve("http://127.0.0.1:0?headers=x-original&address=x-real-ip") { (client, key) async throws in
            let known = [apiKey(key), "X-Real-IP: 203.0.113.7"]
            #expect(try await status(client, known, policy: "plain") == 200)
            #expect(try await status(client, known) == 400)
            for forged in [
                "X-Forwarded-Host: public.example", "X-Original-Host: public.example", "X-Host: public.example",
            ] {
                #expect(try await status(client, known + [forged]) == 400, "\(forged)")
            }
            #expect(try await status(client, known, host: "public.example") == 400)
        }
        try await serve("http://127.0.0.1:0?headers=x-original&address=x-real-ip&host=x-original-host") {
            (client, key) async throws in
            let known = [apiKey(key), "X-Real-IP: 203.0.113.7"]
            let named = known + ["X-Original-Host: public.example"]
            #expect(try await status(client, named) == 200)
            #expect(try await status(client, named + ["X-Forwarded-Host: other.example"]) == 200)
            #expect(try await status(client, named + ["X-Original-Host: public.example"]) == 400)
            #expect(try await status(client, known + ["X-Original-Host: other.example"]) == 403)
            #expect(try await status(client, known + ["X-Forwarded-Host: public.example"]) == 400)
            #expect(try await status(client, known, host: "public.example") == 400)
        }
        try await serve("http://127.0.0.1:0?headers=x-original&address=x-real-ip&host=host") {
            (client, key) async throws in
            let known = [apiKey(key), "X-Real-IP: 203.0.113.7"]
            #expect(try await status(client, known, host: "public.example") == 200)
            #expect(try await status(client, known + ["X-Original-Host: public.example"], host: "a.example") == 403)
        }
    }

    @Test func `lets no preflight pass where it is not told whose fields describe the request`() async throws {
        let set = try PolicySet([Policy(name: "plain", rule: PolicyRule(allowsPreflight: true))])
        try await withServer(
            ["http://127.0.0.1:0", "http://127.0.0.1:0?headers=x-original"], settings: { $0.policies = set }
        ) {
            server in
            for (listener, expected) in [(0, 401), (1, 200)] {
                let client = try await server.connect(listener)
                let fields = [
                    "Origin: https://a.example", "Access-Control-Request-Method: GET", "X-Original-URI: /a",
                    "X-Original-Method: OPTIONS", "X-Forwarded-Uri: /a", "X-Forwarded-Method: OPTIONS",
                ]
                #expect(try await client.ask(request("GET /verify?policy=plain", fields)).status == expected)
            }
        }
    }

    @Test func `takes no URI with a fragment, which servers may cut off or not`() async throws {
        try await serve("http://127.0.0.1:0?headers=x-forwarded") { (client, key) async throws in
            for policy in ["?policy=site", "?policy=plain", ""] {
                for uri in ["/x#", "/x#/../admin", "/x?a=b#c", "#"] {
                    let fields = [
                        apiKey(key), "X-Forwarded-Host: public.example", "X-Forwarded-For: 203.0.113.7",
                        "X-Forwarded-Uri: \(uri)",
                    ]
                    let answer = try await client.ask(request("GET /verify\(policy)", fields))
                    #expect(answer.status == 400, "\(policy) \(uri)")
                }
            }
        }
    }

    @Test func `takes no method from fields of the other set: nobody forges a preflight`() async throws {
        let preflight = ["Origin: https://a.example", "Access-Control-Request-Method: GET"]
        try await serve("http://127.0.0.1:0?headers=x-original") { (client, _) async throws in
            #expect(try await status(client, preflight + ["X-Original-Method: OPTIONS"], policy: "plain") == 200)
            #expect(
                try await status(
                    client, preflight + ["X-Original-Method: GET", "X-Forwarded-Method: OPTIONS"], policy: "plain")
                    == 401)
            #expect(try await status(client, preflight + ["X-Forwarded-Method: OPTIONS"], policy: "plain") == 401)
        }
        try await serve("http://127.0.0.1:0?headers=x-forwarded") { (client, _) async throws in
            #expect(try await status(client, preflight + ["X-Original-Method: OPTIONS"], policy: "plain") == 401)
            #expect(
                try await status(
                    client, preflight + ["X-Forwarded-Method: GET", "X-Original-Method: OPTIONS"], policy: "plain")
                    == 401)
        }
    }

    @Test func `takes no address from fields of the other set`() async throws {
        let other = "198.51.100.1"
        for (options, right, wrong) in [
            ("headers=x-forwarded", "X-Forwarded-For", "X-Real-IP"),
            ("headers=x-original&address=x-forwarded-for", "X-Forwarded-For", "X-Real-IP"),
            ("headers=x-original&address=x-real-ip", "X-Real-IP", "X-Forwarded-For"),
            ("headers=x-original", "", "X-Forwarded-For"), ("headers=x-original", "", "X-Real-IP"),
        ] {
            try await serve("http://127.0.0.1:0?\(options)") { (client, key) async throws in
                let fields = [apiKey(key), "\(wrong): 203.0.113.7"]
                #expect(try await status(client, fields, policy: "plain") == 401, "\(options) \(wrong)")
                guard !right.isEmpty else { return }
                #expect(try await status(client, fields + ["\(right): \(other)"], policy: "plain") == 401)
                #expect(
                    try await status(
                        client, [apiKey(key), "\(wrong): \(other)", "\(right): 203.0.113.7"], policy: "plain")
                        == 200, "\(options)")
            }
        }
        try await serve("http://127.0.0.1:0?headers=x-original&address=x-real-ip") { (client, key) async throws in
            let twice = [apiKey(key), "X-Real-IP: 203.0.113.7", "X-Real-IP: 203.0.113.7"]
            #expect(try await status(client, twice, policy: "plain") == 401)
        }
    }
}
