import AdministrationAPI
import CredentialModel
import Foundation
import Testing

@Suite struct ResourceTests {
    private let resource: CredentialResource = {
        var resource = CredentialResource()
        resource.id = "0Fz8kQ2mXbA"
        resource.kind = "api_key"
        resource.owner = "acme"
        resource.scope = SpaceSeparated(["a", "b"])
        resource.issuedAt = 1
        return resource
    }()

    private func members(_ value: some Encodable) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: StrictJSON.encode(value)) as? [String: Any])
    }

    @Test func `a created key has the members of the contract and no other`() throws {
        let json = try members(KeyCreated(resource, key: Secret("s")))
        #expect(Set(json.keys) == ["id", "key", "owner", "name", "scope", "aud", "iat", "nbf", "exp"])
        #expect(json["scope"] as? String == "a b")
        #expect(json["name"] is NSNull)
    }

    @Test func `a key returned again has null for its secret`() throws {
        #expect(try members(KeyCreated(resource, key: nil))["key"] is NSNull)
        #expect(try members(TokenIssued(resource, accessToken: nil))["access_token"] is NSNull)
    }

    @Test func `a secret prints as redacted`() {
        let created = KeyCreated(resource, key: Secret("hunter2"))
        var dumped = ""
        dump(created, to: &dumped)
        #expect(!"\(created) \(String(reflecting: created)) \(dumped)".contains("hunter2"))
        #expect(created.key?.reveal() == "hunter2")
    }

    @Test func `a line of an export has the members of the resource, the id first`() throws {
        var full = resource
        full.state = .notYetValid
        full.name = "n"
        full.audience = ["https://a"]
        full.expiresAt = 5
        full.isImported = true
        for resource in [resource, full] {
            var line: [UInt8] = []
            resource.appendLine(to: &line)
            #expect(line.starts(with: #"{"id":""#.utf8) && line.last == 0x0A)
            let read = try JSONSerialization.jsonObject(with: Data(line)) as? NSDictionary
            #expect(try read == JSONSerialization.jsonObject(with: StrictJSON.encode(resource)) as? NSDictionary)
            #expect(try StrictJSON.decodeAnswer(CredentialResource.self, from: Data(line)) == resource)
        }
    }

    @Test func `equal values have equal bytes`() throws {
        let once = try StrictJSON.encode(resource)
        for _ in 0..<20 { #expect(try StrictJSON.encode(resource) == once) }
    }

    @Test func `an answer of a newer server can be read`() throws {
        let text = #"{"imported": ["a"], "refused": [], "later": {"x": 1}}"#
        let result = try StrictJSON.decodeAnswer(KeyImportResult.self, from: Data(text.utf8))
        #expect(result.imported == ["a"])
        let problem = #"{"type": "urn:countersign:problem:later", "title": "Later", "status": 418}"#
        #expect(try StrictJSON.decodeAnswer(Problem.self, from: Data(problem.utf8)).title == "Later")
    }

    @Test func `the type of a problem is a URI that never changes`() throws {
        let json = try members(Problem(.unknownMember, detail: "d", member: "m"))
        #expect(json["type"] as? String == "urn:countersign:problem:unknown-member")
        #expect(json["status"] as? Int == 400)
        #expect(json["member"] as? String == "m")
        #expect(Set(ProblemType.all.map(\.uri)).count == ProblemType.all.count)
    }
}

@Suite struct `A JSON line` {
    @Test func `is valid JSON for any text`() throws {
        var hostile = (0...0x7F).map { String(UnicodeScalar(UInt8($0))) }.joined()
        hostile += "é🔑\u{2028}\u{FFFF}\u{10FFFF}"
        var line = JSONLine()
        line.add("text", hostile)
        line.add(hostile, "")
        line.add("number", Int64.min)
        line.add("truth", true)
        line.add("list", ["", hostile, "x"])
        line.add("none", [String]())
        let read = try #require(try JSONSerialization.jsonObject(with: Data(line.bytes)) as? [String: Any])
        #expect(read["text"] as? String == hostile && read[hostile] as? String == "")
        #expect(read["number"] as? Int64 == Int64.min && read["truth"] as? Bool == true)
        #expect(read["list"] as? [String] == ["", hostile, "x"] && read["none"] as? [String] == [])
        #expect(!line.bytes.contains(0x0A))
        #expect(JSONLine().bytes == Array("{}".utf8))
    }
}
