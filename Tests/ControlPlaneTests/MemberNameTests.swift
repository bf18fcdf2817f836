import ControlPlaneFixture
import CredentialModel
import Foundation
import Issuance
import TestSupport
import Testing

@testable import ControlPlane

/// An error names the invalid member as the request spells it, and no member that the request cannot have.
@Suite(.timeLimit(.minutes(3))) struct `A problem` {
    /// Requests of one route: the members of a valid one, and invalid values of each member, as JSON.
    private struct Requests {
        let route: String
        var right: [String: String] = [:]
        let wrong: [String: [String]]
        /// Members that have no invalid value, or whose error names no member.
        var others: Set<String> = []

        func body(_ member: String, _ value: String) -> String {
            let members = right.merging([member: value]) { _, new in new }
            return "{" + members.map { #""\#($0)": \#($1)"# }.joined(separator: ", ") + "}"
        }
    }

    private static let key: [String: [String]] = [
        "owner": [#""""#, #""\u0001""#], "name": [long], "description": [tooLong, #""\u000a""#],
        "scope": [#""é""#, #""countersign:nothing""#],
        "aud": [#"["a b"]"#], "network": [#"["here"]"#], "expires_in": ["0", "9000000000000000"],
        "nbf": ["-1", "4102444800, \"expires_in\": 60"], "count": ["0"],
    ]
    private static let long = "\"" + String(repeating: "n", count: 256) + "\""
    private static let tooLong = "\"" + String(repeating: "d", count: 1_025) + "\""

    /// - Parameters:
    ///   - client: a registered client.
    ///   - challenge: the login challenge of a sign-in that waits for a decision.
    private func requests(client: String, challenge: String) -> [Requests] {
        let life = ["issued_before": ["-1", "4102444800"]]
        let overlap = ["overlap_seconds": ["-1", "9000000000000"]]
        let edit = Self.key.filter { ["name", "description", "scope", "aud", "network"].contains($0.key) }
            .merging(["exp": ["1", "-1"], "nbf": ["-1", "4102444800, \"exp\": 4102444799"]]) { _, new in new }
        let signIn = ["login_challenge": "\"\(challenge)\"", "sub": #""alice""#]
        let ids = ["ids": ["[]", #"["x"]"#]]
        return [
            Requests(route: "POST /v1/keys", right: ["owner": #""acme""#], wrong: Self.key),
            Requests(route: "POST /v1/keys/bulk", right: ["owner": #""acme""#, "count": "2"], wrong: Self.key),
            Requests(route: "POST /v1/cluster/level", wrong: ["level": ["0"]]),
            Requests(route: "POST /v1/keys/import", wrong: ["lines": ["[]"]]),
            Requests(route: "POST /v1/keys/revocations", wrong: ids, others: ["chain"]),
            Requests(route: "PATCH /v1/keys/{id}", wrong: edit),
            Requests(route: "POST /v1/keys/{id}/rotation", wrong: overlap),
            Requests(
                route: "POST /v1/clients", right: ["name": #""app""#],
                wrong: [
                    "name": [#""""#, Self.long], "description": [Self.tooLong], "grant_types": [#"["password"]"#],
                    "redirect_uris": [#"["nowhere"]"#, #"[], "grant_types": ["authorization_code"]"#],
                    "scope": [#""é""#, #""countersign:admin""#], "aud": [#"["a b"]"#],
                    "may": [#"["rule"]"#, #"["introspect"], "public": true"#], "certificate_san": [#""""#],
                ], others: ["public"]),
            Requests(route: "POST /v1/clients/{client_id}/secrets", wrong: overlap),
            Requests(route: "POST /v1/clients/{client_id}/revocations", wrong: life),
            Requests(
                route: "POST /v1/tokens", right: ["client_id": "\"\(client)\""],
                wrong: [
                    "sub": [#""""#], "scope": [#""more""#], "aud": [#"["https://other.example"]"#, #"["a b"]"#],
                    "expires_in": ["0", "9000000000000000"],
                ], others: ["client_id"]),
            Requests(route: "POST /v1/tokens/revocations", wrong: ids, others: ["chain"]),
            Requests(route: "POST /v1/owners/{owner}/revocations", wrong: life),
            Requests(
                route: "POST /v1/authorizations/inspection", right: signIn,
                wrong: ["login_challenge": [#""x""#], "sub": [#""""#]]),
            Requests(
                route: "POST /v1/authorizations/acceptance", right: signIn,
                wrong: ["login_challenge": [#""x""#], "sub": [#""""#, "\"\(client)\""], "scope": [#""more""#]],
                others: ["remember"]),
            Requests(
                route: "POST /v1/authorizations/rejection", right: ["login_challenge": signIn["login_challenge"] ?? ""],
                wrong: ["login_challenge": [#""x""#]], others: ["reason"]),
            Requests(
                route: "POST /v1/explain", right: ["credential": #""x""#], wrong: ["client_ip": [#""here""#]],
                others: ["credential", "scope", "client_id"]),
        ]
    }

    private static func headers(_ method: String) -> [String: String] {
        ["Content-Type": method == "PATCH" ? "application/merge-patch+json" : "application/json"]
    }

    private static let app =
        #""name": "app", "grant_types": ["authorization_code"], "redirect_uris": ["https://shop.example/cb"], "#
        + #""scope": "read", "aud": ["https://api.example"]"#

    @Test func `names the invalid member of each request`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let client = try await plane.client(Self.app).id
            let key = try await plane.issuer.createKeys(KeyRequest(owner: "acme"))[0].summary.id
            let begun = try await plane.get(OAuthFixture.authorization(client))
            let challenge = try #require(OAuthFixture.parameter("login_challenge", of: begun.headers["location"]))
            for requests in requests(client: client, challenge: challenge) {
                let line = requests.route.split(separator: " ").map(String.init)
                let path = line[1].replacing("{id}", with: "\(key)").replacing("{client_id}", with: client)
                    .replacing("{owner}", with: "acme")
                for (member, values) in requests.wrong {
                    for value in values {
                        let body = requests.body(member, value)
                        let answer = try await plane.control.send(
                            line[0], path, body: Array(body.utf8), headers: Self.headers(line[0]))
                        let place: Comment = "\(requests.route) \(body.prefix(200))"
                        #expect(answer.status == 422, place)
                        // In a list, the index may follow.
                        #expect(answer.text("member")?.split(separator: ".").first.map(String.init) == member, place)
                    }
                }
            }
        }
    }

    @Test func `names the invalid query or path parameter`() async throws {
        try await OAuthFixture.serve { plane async throws in
            for (method, path, member) in [
                ("GET", "/v1/keys?owner=%01", "owner"), ("GET", "/v1/keys/export?owner=%01", "owner"),
                ("GET", "/v1/consents?sub=%01", "sub"), ("DELETE", "/v1/consents?sub=%01&client_id=x", "sub"),
                ("POST", "/v1/owners/%01/revocations", "owner"),
            ] {
                let answer = try await plane.control.send(method, path)
                #expect(answer.status == 422 && answer.text("member") == member, "\(method) \(path)")
            }
        }
    }

    @Test func `in a line of an import names its member`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let hash = #""7bbc80aca48471d552a513cc47c0c50f1479d00cc4147ba8d8b90f089f22588c""#
            let right = ["owner": #""acme""#, "key": #""legacy_4f6e8a1b2c3d4e5f""#]
            var lines = Self.key.filter { $0.key != "count" }.flatMap { member, values in
                values.map { (member, Requests(route: "", right: right, wrong: [:]).body(member, $0)) }
            }
            lines += [
                ("key", #"{"owner": "a", "key": "short"}"#), ("sha256", #"{"owner": "a", "sha256": "x"}"#),
                ("sha512", #"{"owner": "a", "sha512": "x"}"#),
                ("hmac_key_name", #"{"owner": "a", "hmac_sha256": \#(hash), "hmac_key_name": "none"}"#),
            ]
            let body = #"{"lines": ["# + lines.map(\.1).joined(separator: ",") + "]}"
            let answer = try await plane.control.post("/v1/keys/import", body)
            let refused = try #require(answer.json["refused"] as? [[String: Any]])
            #expect(answer.status == 200 && refused.count == lines.count)
            for refusal in refused {
                let line = try #require(refusal["line"] as? Int)
                let reason = try #require(refusal["reason"] as? String)
                #expect(reason.hasPrefix("\(lines[line].0): ") || reason.hasPrefix("'\(lines[line].0)' "), "\(reason)")
            }
        }
    }

    /// A limited caller is told which member exceeds its limits, if the request has it. A client has no networks, and a
    /// rotation does not choose the limits of a key.
    @Test func `names no member that the request cannot have`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let limited = try await plane.issuer.createKeys(
                KeyRequest(
                    owner: "operator", scope: ["countersign:admin"], audience: [OAuthFixture.issuerAddress],
                    networks: ["127.0.0.0/8"], expiresInSeconds: 3_600))[0]
            let headers = ["Authorization": "ApiKey \(limited.secret.reveal())"]
            let free = try await plane.issuer.createKeys(KeyRequest(owner: "acme"))[0].summary.id
            let client = try await plane.client(Self.app).id
            let inside = #""owner": "a", "network": ["127.0.0.1"]"#
            let audience = #""aud": ["\#(OAuthFixture.issuerAddress)"]"#
            let cases: [(String, String, String, String?)] = [
                ("POST", "/v1/keys", #"{"owner": "a"}"#, "network"), ("POST", "/v1/keys", "{\(inside)}", "aud"),
                ("POST", "/v1/keys", "{\(inside), \(audience)}", "expires_in"),
                ("POST", "/v1/keys", "{\(inside), \(audience), \"expires_in\": 60}", nil),
                ("PATCH", "/v1/keys/\(free)", #"{"scope": "x"}"#, "network"),
                ("POST", "/v1/keys/\(free)/rotation", "{}", nil),
                ("POST", "/v1/clients", #"{"name": "c"}"#, nil),
                ("POST", "/v1/clients/\(client)/secrets", "{}", nil),
                ("POST", "/v1/tokens", #"{"client_id": "\#(client)"}"#, nil),
            ]
            for (index, (method, path, body, member)) in cases.enumerated() {
                let answer = try await OAuthFixture.send(
                    method, "http://127.0.0.1:\(plane.port)\(path)", body: Array(body.utf8),
                    headers: Self.headers(method).merging(headers) { _, new in new })
                guard index != 3 else {
                    #expect(answer.status == 201)
                    continue
                }
                let place: Comment = "\(method) \(path) \(body)"
                #expect(answer.status == 403 && answer.text("member") == member, place)
                let detail = member.map { "'\($0)': " } ?? ""
                let reason = detail + "exceeds the limits of your own credential"
                #expect(answer.text("detail")?.hasPrefix(reason) == true, place)
            }
        }
    }

    /// Every member in the document is in the table above, and the route knows it.
    @Test func `is tested for every member of every request`() async throws {
        let bytes = try await ControlPlaneFixture.serve { plane async throws in
            try await plane.client.get("/openapi.json").bytes
        }
        let document = try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
        func value(_ path: [String]) throws -> [String: Any] {
            try path.reduce(document) { object, name in
                try #require(object[name] as? [String: Any], "\(path.joined(separator: " "))")
            }
        }
        let fixture = try Fixture()
        let services = try ControlPlaneServices(issuer: fixture.issuer, readiness: { .ready }, backupFolder: "/nowhere")
        let table = Dictionary(uniqueKeysWithValues: requests(client: "", challenge: "").map { ($0.route, $0) })
        let routes = administrationRoutes(services).filter { $0.body != .none }
        #expect(Set(routes.map { "\($0.method.rawValue) \($0.path)" }) == Set(table.keys))
        for route in routes {
            let name = "\(route.method.rawValue) \(route.path)"
            let content = try value([
                "paths", route.path, route.method.rawValue.lowercased(), "requestBody", "content",
            ])
            let media = try #require(content.values.first as? [String: Any], "\(name)")
            let reference = try #require((media["schema"] as? [String: Any])?["$ref"] as? String, "\(name)")
            let schema = try value(reference.split(separator: "/").dropFirst().map(String.init))
            let members = Set(try #require(schema["properties"] as? [String: Any], "\(name)").keys)
            let requests = try #require(table[name])
            #expect(Set(requests.wrong.keys).union(requests.others) == members, "\(name)")
            #expect(members.allSatisfy(route.hasMember) && route.takes != nil, "\(name)")
            for word in ["audience", "rights", "subject", "networks"] { #expect(!route.hasMember(word), "\(name)") }
        }
    }
}
