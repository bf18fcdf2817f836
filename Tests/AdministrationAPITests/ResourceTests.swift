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

    @Test func `a secret does not print itself`() {
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

    @Test func `equal values are equal bytes`() throws {
        let once = try StrictJSON.encode(resource)
        for _ in 0..<20 { #expect(try StrictJSON.encode(resource) == once) }
    }

    @Test func `an answer of a newer server is read`() throws {
        let text = #"{"imported": ["a"], "refused": [], "later": {"x": 1}}"#
        let result = try StrictJSON.decodeAnswer(KeyImportResult.self, from: Data(text.utf8))
        #expect(result.imported == ["a"])
        let problem = #"{"type": "urn:countersign:problem:later", "title": "Later", "status": 418}"#
        #expect(try StrictJSON.decodeAnswer(Problem.self, from: Data(problem.utf8)).title == "Later")
    }

    @Test func `a problem carries its type as a URI that stays the same`() throws {
        let json = try members(Problem(.unknownMember, detail: "d", member: "m"))
        #expect(json["type"] as? String == "urn:countersign:problem:unknown-member")
        #expect(json["status"] as? Int == 400)
        #expect(json["member"] as? String == "m")
        #expect(Set(ProblemType.all.map(\.uri)).count == ProblemType.all.count)
    }
}
