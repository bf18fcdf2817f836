import CredentialModel
import Foundation
import HTTPWire
import Issuance
import Listening
import Testing
import TestSupport

@testable import DataPlane
@testable import ForwardAuth

@Suite struct `Policies` {
    private func fault(_ policies: Policy...) -> String? {
        do throws(ListFault) {
            _ = try PolicySet(policies)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func `that are invalid are refused with a reason`() {
        #expect(fault(Policy(name: "a.b-c_1", rule: PolicyRule())) == nil)
        for name in ["", "a/b", "a b", "..", String(repeating: "a", count: 65)] {
            #expect(fault(Policy(name: name, rule: PolicyRule()))?.contains("name") == true)
        }
        #expect(
            fault(Policy(name: "a", rule: PolicyRule()), Policy(name: "a", rule: PolicyRule()))?.contains("same")
                == true)
        #expect(fault(Policy(name: "a", rule: PolicyRule(scope: ["a\"b"])))?.contains("scope") == true)
        #expect(fault(Policy(name: "a", rule: PolicyRule(audience: "a b")))?.contains("audience") == true)
        #expect(
            fault(Policy(name: "a", rule: PolicyRule(allowsKeys: false, allowsTokens: false)))?.contains("neither")
                == true)
        for path in ["orders", "/a/../b", "/a//b", "/%2e", "/a b"] {
            #expect(
                fault(Policy(name: "a", rule: PolicyRule(), places: [.init(path: path, rule: PolicyRule())])) != nil)
        }
        for path in ["/orders/*", "/a*", "/users/{id}/keys", "/users/:id", "/a[0-9]", "/<id>"] {
            #expect(
                fault(Policy(name: "a", rule: PolicyRule(), places: [.init(path: path, rule: PolicyRule())]))?
                    .contains("pattern") == true, "\(path)")
        }
        for host in ["", "Host.example", "h:80", "h/x", "h.", "a..b", "*.example", "bücher.example", "[::1]", "0x7f.1"]
        {
            #expect(
                fault(Policy(name: "a", rule: PolicyRule(), places: [.init(host: host, rule: PolicyRule())])) != nil)
        }
        for (first, second) in [("/a", "/A"), ("/a", "/a."), ("/a/b", "/a/B/"), ("/a%3Ab", "/a:b")] {
            let places = [first, second].map { Policy.Place(path: $0, rule: PolicyRule()) }
            #expect(fault(Policy(name: "a", rule: PolicyRule(), places: places))?.contains("two rules") == true)
        }
    }

    @Test func `by host or path need a listener that specifies its header set`() throws {
        let plain = try PolicySet([Policy(name: "a", rule: PolicyRule())])
        let placed = try PolicySet([
            Policy(name: "a", rule: PolicyRule(), places: [.init(path: "/x", rule: PolicyRule())])
        ])
        func fits(_ policies: PolicySet, _ listener: String) -> Bool {
            (try? DataPlaneSettings.check(policies, for: [ListenerAddress(listener)])) != nil
        }
        #expect(fits(plain, "http://127.0.0.1:1") && !fits(placed, "http://127.0.0.1:1"))
        #expect(fits(placed, "http://127.0.0.1:1?headers=x-forwarded"))
        #expect(fits(placed, "http://127.0.0.1:1?authz-only=a"))
        #expect(!fits(plain, "http://127.0.0.1:1?authz-only=b"))
        let hosts = try PolicySet([
            Policy(name: "h", rule: PolicyRule(), places: [.init(host: "a.example", rule: PolicyRule())])
        ])
        func warnings(_ policies: PolicySet, _ listener: String) throws -> Int {
            DataPlaneSettings.warnings(policies, for: [try ListenerAddress("http://127.0.0.1:1?\(listener)")]).count
        }
        #expect(try warnings(hosts, "headers=x-original") == 1)
        #expect(try warnings(placed, "headers=x-original") == 0)
        #expect(try warnings(hosts, "headers=x-original&host=host") == 0)
        #expect(try warnings(hosts, "headers=x-forwarded") == 0)
        // Over gRPC the message describes the request.
        #expect(fits(placed, "grpc+unix:/a") && fits(placed, "grpc+unix:/a?policy=a"))
        #expect(!fits(plain, "grpc+unix:/a?policy=b"))
    }
}

/// The rule of a policy that applies to a request, and ambiguous requests.
@Suite struct `The rule of a request` {
    private func choose(_ places: [Policy.Place], host: String = "", path: String) -> String? {
        let policy = Policy(name: "p", rule: PolicyRule(scope: ["default"]), places: places)
        let (host, path) = (Array(host.utf8), Array(path.utf8))
        switch PolicySet.Entry(policy).choose(host: host.octets, path: path.octets) {
        case .rule(let rule): return String(decoding: rule.scope, as: UTF8.self)
        case .ambiguous: return nil
        }
    }

    private func place(_ scope: String, host: String? = nil, path: String = "/") -> Policy.Place {
        Policy.Place(host: host, path: path, rule: PolicyRule(scope: [scope]))
    }

    @Test func `by host is chosen only for one well-formed host`() {
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
        // Without rules by host, it is not needed.
        #expect(choose([place("admin", path: "/admin")], host: "x, y", path: "/admin") == "admin")
    }

    @Test func `by path is chosen only if no server could read the path as that of another rule`() {
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

    /// Paths that match a rule exactly also match it folded: otherwise that rule would refuse its own requests.
    @Test func `is the one of the exact path, for every path that a rule can have`() {
        for path in ["/A.b", "/x%20y", "/a.", "/a/B.%20/c", "/a!$&'()*+,=:@", "/~a-b_c"] {
            let rule = RulePath(path)
            for request in [path, path + "/", path + "/more"] {
                let bytes = Array(request.utf8)
                #expect(rule.matches(bytes.octets) && rule.mayMatch(bytes.octets), "\(request)")
            }
        }
    }

    /// Compares the committed table with another implementation of Unicode.
    @Test func `folds every character as Foundation's compatibility forms do`() {
        var table = 0
        for code in UInt32(0x80)...0x1FFFF {
            guard let scalar = Unicode.Scalar(code) else { continue }
            let text = String(scalar).precomposedStringWithCompatibilityMapping
            let forms = [text.lowercased(), text.uppercased().lowercased()].filter { $0.utf8.allSatisfy { $0 < 0x80 } }
            let reading = PathFoldingTable.reading(of: code)
            if reading != nil { table += 1 }
            // Characters of a Unicode version that only one of the two knows have no form here.
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

/// A listener reads the original request only from its configured header set.
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

    @Test func `uses no host from the other set`() async throws {
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

    @Test func `allows no preflight without a configured header set`() async throws {
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

    @Test func `refuses a URI with a fragment, which servers may or may not cut off`() async throws {
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

    @Test func `uses no method from the other set: a preflight cannot be forged`() async throws {
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

    @Test func `uses no address from the other set`() async throws {
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
