import ControlPlaneFixture
import Foundation
import Testing

@Suite struct BadRequestTests {
    /// A request and what is wrong with it.
    struct Case: Sendable, CustomTestStringConvertible {
        let method: String
        let path: String
        var body: String?
        var mediaType = "application/json"
        let status: Int
        let problem: String
        var member: String?
        var testDescription: String { "\(method) \(path) \(body ?? "") → \(problem)" }
    }

    @Test(arguments: [
        Case(method: "POST", path: "/v1/keys", body: "{", status: 400, problem: "not-json"),
        Case(method: "POST", path: "/v1/keys", body: "", status: 400, problem: "missing-member", member: "owner"),
        Case(method: "POST", path: "/v1/keys", body: "[]", status: 400, problem: "wrong-type"),
        Case(
            method: "POST", path: "/v1/keys", body: #"{"owner": "a", "rank": 1}"#, status: 400,
            problem: "unknown-member", member: "rank"),
        Case(
            method: "POST", path: "/v1/keys", body: #"{"owner": ["a"]}"#, status: 400, problem: "wrong-type",
            member: "owner"),
        Case(
            method: "POST", path: "/v1/keys", body: #"{"owner": "a", "owner": "b"}"#, status: 400,
            problem: "repeated-member", member: "owner"),
        Case(
            method: "POST", path: "/v1/keys", body: #"{"owner": ""}"#, status: 422, problem: "invalid-value",
            member: "owner"),
        Case(
            method: "POST", path: "/v1/keys", body: #"{"owner": "a", "nbf": -1}"#, status: 422,
            problem: "invalid-value", member: "nbf"),
        Case(
            method: "POST", path: "/v1/keys", body: #"{"owner": "a", "nbf": 9223372036854775807}"#, status: 422,
            problem: "invalid-value", member: "nbf"),
        Case(
            method: "POST", path: "/v1/keys", body: #"{"owner": "a", "expires_in": 9000000000000000}"#, status: 422,
            problem: "invalid-value", member: "expires_in"),
        // In range as a point in time, but as a lifetime it ends after the latest time.
        Case(
            method: "POST", path: "/v1/keys", body: #"{"owner": "a", "expires_in": 253402300799}"#, status: 422,
            problem: "invalid-value", member: "expires_in"),
        Case(
            method: "POST", path: "/v1/tokens", body: #"{"client_id": "a", "expires_in": 9000000000000000}"#,
            status: 422, problem: "invalid-value", member: "expires_in"),
        Case(
            method: "POST", path: "/v1/keys", body: "owner=a", mediaType: "application/x-www-form-urlencoded",
            status: 415, problem: "unsupported-media-type"),
        Case(
            method: "POST", path: "/v1/keys", body: #"{"owner": "a"}"#, mediaType: "application/json; charset=latin1",
            status: 415, problem: "unsupported-media-type"),
        Case(
            method: "POST", path: "/v1/keys/00000000001/rotation", body: "x", mediaType: "text/plain", status: 415,
            problem: "unsupported-media-type"),
        Case(method: "GET", path: "/v1/keys?owner=a&owner=b", status: 400, problem: "bad-query", member: "owner"),
        Case(method: "GET", path: "/v1/keys?limit=0", status: 400, problem: "bad-query", member: "limit"),
        Case(method: "GET", path: "/v1/keys?limit=1001", status: 400, problem: "bad-query", member: "limit"),
        Case(method: "GET", path: "/v1/keys?limit=ten", status: 400, problem: "bad-query", member: "limit"),
        Case(method: "GET", path: "/v1/keys?after=x", status: 400, problem: "bad-query", member: "after"),
        Case(method: "GET", path: "/v1/keys?page=2", status: 400, problem: "bad-query", member: "page"),
        Case(method: "GET", path: "/v1/keys?owner=%ff", status: 400, problem: "bad-query"),
        Case(
            method: "DELETE", path: "/v1/keys/00000000001?chian=true", status: 400, problem: "bad-query",
            member: "chian"),
        Case(
            method: "DELETE", path: "/v1/keys/00000000001?chain=yes", status: 400, problem: "bad-query",
            member: "chain"),
        Case(method: "GET", path: "/livez?x=1", status: 400, problem: "bad-query", member: "x"),
        Case(method: "GET", path: "/v1/keys/00000000001", status: 404, problem: "unknown-credential"),
        Case(method: "GET", path: "/v1/keys/zzzzzzzzzzz", status: 404, problem: "unknown-credential"),
        Case(method: "GET", path: "/v1/keys/short", status: 404, problem: "unknown-credential"),
        Case(method: "DELETE", path: "/v1/keys/00000000001", status: 404, problem: "unknown-credential"),
        Case(method: "GET", path: "/v1/nothing", status: 404, problem: "not-found"),
        Case(method: "GET", path: "/", status: 404, problem: "not-found"),
        Case(method: "POST", path: "/v1/owners/%ff/revocations", status: 404, problem: "not-found"),
        Case(method: "PUT", path: "/v1/keys", status: 405, problem: "method-not-allowed"),
        Case(method: "PROPFIND", path: "/v1/store/backup", status: 405, problem: "method-not-allowed"),
        Case(
            method: "POST", path: "/v1/keys/revocations", body: #"{"ids": ["x"]}"#, status: 422,
            problem: "invalid-value", member: "ids.0"),
        Case(
            method: "POST", path: "/v1/keys/import", body: #"{"lines": []}"#, status: 422, problem: "invalid-value",
            member: "lines"),
    ])
    func `a bad request is a problem with a stable type`(request: Case) async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let answer = try await plane.client.send(
                request.method, request.path, body: request.body.map { Array($0.utf8) },
                headers: request.body == nil ? [:] : ["Content-Type": request.mediaType])
            #expect(answer.status == request.status)
            #expect(answer.problem == request.problem)
            #expect(answer.text("member") == request.member)
            #expect(answer.number("status") == request.status)
            #expect(answer.headers["content-type"] == "application/problem+json")
            #expect(answer.headers["cache-control"] == "no-store")
        }
    }

    @Test func `a wrong method gets a list of the allowed ones`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            #expect(try await plane.client.send("PUT", "/v1/keys").headers["allow"] == "GET, HEAD, POST")
            let key = try await plane.client.post("/v1/keys/00000000001")
            #expect(key.headers["allow"] == "DELETE, GET, HEAD, PATCH")
            #expect(try await plane.client.get("/v1/keys/import").headers["allow"] == "POST")
        }
    }

    @Test func `a POST without a media type is refused where a body is needed`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            #expect(try await plane.client.post("/v1/keys").status == 415)
        }
    }

    @Test func `a body over its limit is refused, with Content-Length or chunked`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let body = #"{"owner": "\#(String(repeating: "a", count: 1_100_000))"}"#
            let refused = try await plane.client.post("/v1/keys", body)
            #expect(refused.status == 413)
            #expect(refused.problem == "body-too-large")
            // The same size is fine for an import.
            let key = String(repeating: "k", count: 30)
            let name = String(repeating: "n", count: 1_100_000)
            let lines = #"{"lines": [{"key": "\#(key)", "owner": "a", "name": "\#(name)"}]}"#
            #expect(try await plane.client.post("/v1/keys/import", lines).status != 413)
        }
    }

    @Test func `no answer repeats a credential`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let key = try await plane.makeKey().key
            let requests = [
                ("POST", "/v1/keys", #"{"\#(key)": 1}"#), ("POST", "/v1/keys", #"{"owner": {"\#(key)": 1}}"#),
                ("POST", "/v1/keys/revocations", #"{"ids": ["\#(key)"]}"#), ("GET", "/v1/keys/\(key)", nil),
                ("GET", "/v1/keys?\(key)=1", nil), ("GET", "/v1/keys?after=\(key)", nil), ("GET", "/\(key)", nil),
                ("POST", "/v1/explain", #"{"credential": ["\#(key)"]}"#),
            ]
            for (method, path, body) in requests {
                let answer = try await plane.client.send(method, path, body: body.map { Array($0.utf8) })
                #expect(answer.status >= 400)
                #expect(!String(decoding: answer.bytes, as: UTF8.self).contains(key.suffix(49)))
            }
        }
    }
}
