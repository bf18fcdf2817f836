import CredentialModel
import DataPlane
import ForwardAuth
import Listening
import Testing

@Suite struct `Policies` {
    private func fault(_ policies: Policy...) -> String? {
        do throws(ListFault) {
            _ = try PolicySet(policies)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func `that cannot be meant are refused with what is wrong`() {
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

    @Test func `by host or path need a listener that knows which headers to believe`() throws {
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
