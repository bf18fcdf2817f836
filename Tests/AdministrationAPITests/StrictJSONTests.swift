import AdministrationAPI
import CredentialModel
import Testing

@Suite struct StrictJSONTests {
    private func read<Value: Decodable & Sendable>(_ type: Value.Type, _ text: String) throws -> Value {
        try StrictJSON.decode(type, from: Array(text.utf8))
    }

    @Test func `a complete request is read`() throws {
        let text = #"""
            {"owner": "acme", "name": "ci", "scope": "a b", "aud": ["https://x"], "network": ["10.0.0.0/8"],
             "expires_in": 60, "nbf": 5, "count": 2}
            """#
        let expected = KeyRequest(
            owner: "acme", name: "ci", scope: ["a", "b"], audience: ["https://x"], networks: ["10.0.0.0/8"],
            expiresInSeconds: 60, notBefore: UnixSeconds(5), count: 2)
        #expect(try read(KeyRequest.self, text) == expected)
    }

    @Test(arguments: [
        (#"{"owner": "a", "ownr": 1}"#, MalformedRequest(.unknownMember, member: "ownr")),
        (#"{"name": "a"}"#, MalformedRequest(.missingMember, member: "owner")),
        (#"{"owner": 7}"#, MalformedRequest(.wrongType, member: "owner")),
        (#"{"owner": null}"#, MalformedRequest(.wrongType, member: "owner")),
        (#"{"owner": "a", "count": "1"}"#, MalformedRequest(.wrongType, member: "count")),
        (#"{"owner": "a", "count": 1.5}"#, MalformedRequest(.wrongType, member: "count")),
        (#"{"owner": "a", "count": 1e99}"#, MalformedRequest(.wrongType, member: "count")),
        (#"{"owner": "a", "aud": ["x", 1]}"#, MalformedRequest(.wrongType, member: "aud.1")),
        (#"{"owner": "a", "owner": "b"}"#, MalformedRequest(.repeatedMember, member: "owner")),
        (#"{"owner": "a", "\u006fwner": "b"}"#, MalformedRequest(.unknownMember, member: nil)),
        (#"["owner"]"#, MalformedRequest(.wrongType, member: nil)),
        (#"{"owner": "a""#, MalformedRequest(.notJSON, member: nil)),
        (#"{"owner": "a"} {}"#, MalformedRequest(.notJSON, member: nil)),
        ("", MalformedRequest(.notJSON, member: nil)),
    ])
    func `a malformed request names the member`(text: String, fault: MalformedRequest) {
        #expect(throws: fault) { try read(KeyRequest.self, text) }
    }

    /// Each of these could become U+FFFD, so that two owners become one: a lone byte, a truncated sequence, an overlong form,
    /// a surrogate, a scalar beyond the last.
    @Test(arguments: [[0xFF], [0xC3], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80]] as [[UInt8]])
    func `bytes that are not UTF-8 are not JSON`(_ wrong: [UInt8]) {
        let bytes = Array(#"{"owner": "a"#.utf8) + wrong + Array(#""}"#.utf8)
        #expect(throws: MalformedRequest(.notUTF8, member: nil)) {
            try StrictJSON.decode(KeyRequest.self, from: bytes)
        }
    }

    @Test(arguments: [#"\ud800"#, #"\udc00"#, #"\ud800\u0041"#, #"\udc00\ud800"#])
    func `half of a surrogate pair is refused`(_ escape: String) {
        #expect(throws: MalformedRequest.self) { try read(KeyRequest.self, #"{"owner": "a\#(escape)"}"#) }
    }

    @Test func `deep nesting is refused before it is decoded`() {
        let text = String(repeating: "[", count: 100_000)
        #expect(throws: MalformedRequest(.notJSON, member: nil)) { try read(KeyRequest.self, text) }
    }

    @Test func `quotes and braces in strings are not structure`() throws {
        let request = try read(KeyRequest.self, #"{"owner": "a\"{\\", "name": "owner\": {["}"#)
        #expect(request.owner == #"a"{\"#)
        #expect(request.properties.name == .set(#"owner": {["#))
    }

    @Test func `equal names in different objects are accepted`() throws {
        let text = #"{"lines": [{"key": "k", "owner": "a"}, {"key": "l", "owner": "b"}]}"#
        #expect(try read(KeyImportRequest.self, text).lines.count == 2)
    }

    @Test func `a fault in a line names the line`() {
        #expect(throws: MalformedRequest(.missingMember, member: "lines.1.owner")) {
            try read(KeyImportRequest.self, #"{"lines": [{"key": "k", "owner": "a"}, {"key": "l"}]}"#)
        }
    }

    @Test func `a name that may be a credential is not shown`() {
        let text = #"{"owner": "a", "iik1_0Fz8kQ2mXbA_0123456789012345678901234567890123456789012345678": 1}"#
        #expect(throws: MalformedRequest(.unknownMember, member: "…")) { try read(KeyRequest.self, text) }
        #expect(MalformedRequest.safeName("shortest_imported_20") == nil)
    }

    @Test func `a merge patch distinguishes a missing member from null`() throws {
        let edit = try read(KeyEdit.self, #"{"name": null, "exp": 7}"#)
        #expect(edit == KeyEdit(name: .removed, expiresAt: .set(UnixSeconds(7))))
        #expect(edit.properties.notBefore == .unchanged)
        #expect(try read(KeyEdit.self, "{}").isEmpty)
        for member in ["scope", "aud", "network"] {
            #expect(throws: MalformedRequest(.wrongType, member: member)) {
                try read(KeyEdit.self, #"{"\#(member)": null}"#)
            }
        }
    }

    @Test func `elsewhere null means the same as a missing member`() throws {
        let text = #"{"owner": "a", "name": null, "scope": null, "aud": null, "nbf": null, "expires_in": null}"#
        #expect(try read(KeyRequest.self, text) == KeyRequest(owner: "a"))
        let client = #"{"name": "n", "grant_types": null, "scope": null, "certificate_san": null, "public": null}"#
        #expect(try read(ClientRequest.self, client) == ClientRequest(name: "n"))
    }

    @Test func `a request is read as it was written`() throws {
        let key = KeyRequest(
            owner: "a", name: "x", description: "d", scope: ["r", "w"], notBefore: UnixSeconds(7), count: 3)
        #expect(try StrictJSON.decode(KeyRequest.self, from: Array(StrictJSON.encode(key))) == key)
        let edit = KeyEdit(
            name: .set("x"), description: .set("d"), scope: [], audience: [], expiresAt: .removed,
            notBefore: .set(UnixSeconds(7)))
        #expect(try StrictJSON.decode(KeyEdit.self, from: Array(StrictJSON.encode(edit))) == edit)
        let issue = TokenRequest(clientID: "c", subject: "s", scope: ["a"], expiresInSeconds: 5)
        #expect(try StrictJSON.decode(TokenRequest.self, from: Array(StrictJSON.encode(issue))) == issue)
        let client = ClientRequest(name: "n", description: "d", grants: ["g"], rights: ["admin"], isPublic: true)
        #expect(try StrictJSON.decode(ClientRequest.self, from: Array(StrictJSON.encode(client))) == client)
    }

    @Test func `two spaces in a scope give an empty word`() {
        #expect(SpaceSeparated(text: "a  b").words == ["a", "", "b"])
        #expect(SpaceSeparated(text: "").words == [])
    }
}
