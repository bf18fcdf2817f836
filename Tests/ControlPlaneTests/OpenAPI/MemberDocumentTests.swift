import AdministrationAPI
@testable import ControlPlane
import ControlPlaneFixture
import Foundation
import HTTPWire
import Issuance
import TestSupport
import Testing

/// Compares the schemas of the OpenAPI document with the types that are decoded and encoded: a member that is added to
/// only one of them fails here.
@Suite struct `A schema of the OpenAPI document` {
    private let document: APIDocument

    init() throws { document = try APIDocument() }

    /// The types of responses by the names of their schemas.
    private static var answers: [String: any Codable.Type] {
        [
            "Credential": CredentialResource.self, "CredentialPage": PageResource<CredentialResource>.self,
            "KeyCreated": KeyCreated.self, "KeysCreated": KeysCreated.self, "KeyRotated": KeyRotated.self,
            "KeyImportResult": KeyImportResult.self, "RevocationResult": RevocationResult.self,
            "BulkRevocationResult": BulkRevocationResult.self, "Client": ClientResource.self,
            "ClientPage": PageResource<ClientResource>.self, "ClientIssued": ClientIssued.self,
            "TokenIssued": TokenIssued.self, "AuthorizationInspection": AuthorizationInspection.self,
            "AuthorizationDecided": AuthorizationDecided.self, "Consent": ConsentResource.self,
            "ConsentList": ConsentList.self, "Pepper": PepperResource.self, "PepperList": PepperList.self,
            "StoreStatistics": StoreStatistics.self, "StoreCheck": StoreCheck.self,
            "Explanation": ExplanationResource.self, "Health": HealthResource.self, "Problem": Problem.self,
            "ChangeList": ChangeList.self,
            "AuditEntry": AuditEntryResource.self, "AuditPage": PageResource<AuditEntryResource>.self,
            "AuditCheck": AuditCheck.self, "Fleet": FleetResource.self, "FleetComparison": FleetComparison.self,
            "FleetLevel": FleetLevel.self,
        ]
    }

    /// Schemas of values, not of objects.
    private static let values: Set = ["ID", "Time", "TimeOrNull", "Scope", "Texts", "State"]

    /// Schemas of OAuth and the data plane, which have no Codable type.
    private static let written: Set = [
        "AuthorizationServerMetadata", "ChangesGone", "DemonstrationDecision", "Introspection", "IntrospectionRequest",
        "OAuthError", "ProtectedResourceMetadata", "TokenAnswer", "TokenRequest", "TokenReview", "TokenReviewRequest",
        "TokenRevocationRequest", "Verdict", "VerdictList", "VerificationProblem", "VerifyRequest",
    ]

    /// Optional in the type only to decode responses of earlier versions.
    private static let neverNull = [".secrets_omitted"]

    @Test func `of a response has the members of its type`() throws {
        for (name, type) in Self.answers {
            let shape = try MemberShape(ofAnswer: type)
            let differences = try document.shape(document.schema(name)).differences(to: shape, at: name)
            let unexpected = differences.filter { difference in
                !Self.neverNull.contains { difference.hasSuffix("\($0) is null in the code") }
            }
            #expect(unexpected == [])
        }
    }

    private func routes() throws -> [Route] {
        let fixture = try Fixture()
        defer { withExtendedLifetime(fixture) {} }
        return administrationRoutes(
            try ControlPlaneServices(issuer: fixture.issuer, readiness: { .ready }, backupFolder: "/nowhere"))
    }

    /// The schema of the body that a route takes.
    private func request(_ route: Route) throws -> String {
        let operation = APIDocument.Operation(method: route.method.rawValue, path: route.path)
        let described = try #require(try document.operations()[operation], "\(operation)")
        let media = try #require(document.content(described).values.first, "\(operation)")
        let reference = (media["schema"] as? [String: Any])?["$ref"] as? String ?? ""
        return String(reference.split(separator: "/").last ?? "")
    }

    @Test func `of a request has the members of its type`() throws {
        var found: [String] = []
        for route in try routes() {
            #expect((route.body != .none) == (route.takes != nil), "\(route.method) \(route.path)")
            guard let type = route.takes else { continue }
            let name = try request(route)
            var shape = try MemberShape(ofRequest: type)
            // The route for bulk creation requires a member that is optional elsewhere.
            if name == "KeyBulkRequest", case .object(var members) = shape {
                members["count"]?.isRequired = true
                shape = .object(members)
            }
            found += try document.shape(document.schema(name)).differences(to: shape, at: name)
        }
        let leak = try document.shape(document.schema("LeakReport"))
        found += leak.differences(to: try MemberShape(ofRequest: LeakReport.self), at: "LeakReport")
        #expect(found == [])
    }

    @Test func `of a request allows no other members`() throws {
        for route in try routes() where route.takes != nil {
            let name = try request(route)
            #expect(try document.schema(name)["additionalProperties"] as? Bool == false, "\(name)")
        }
    }

    @Test func `is checked here, or is listed as having no type`() throws {
        let requests = try routes().filter { $0.takes != nil }.map { try request($0) }
        let checked = Set(Self.answers.keys).union(requests).union(["LeakReport"])
        #expect(Set(document.schemas.keys) == checked.union(Self.values).union(Self.written))
    }

    @Test func `of a problem names all of its types`() throws {
        let properties = try document.schema("Problem")["properties"] as? [String: [String: Any]]
        #expect(properties?["type"]?["enum"] as? [String] == ProblemType.all.map(\.uri))
    }

    @Test func `of a verification has the members that the parser reads`() throws {
        let verify = try document.schema("VerifyRequest")["properties"] as? [String: Any] ?? [:]
        #expect(Set(verify.keys) == Set(VerifyForm.Member.allCases.map { "\($0.name)" }))
    }

    /// The examples of requests can be decoded.
    @Test func `has valid examples`() throws {
        let operations = try document.operations()
        var count = 0
        for route in try routes() {
            guard let type = route.takes else { continue }
            let operation = APIDocument.Operation(method: route.method.rawValue, path: route.path)
            let examples = operations[operation].flatMap { document.content($0).values.first?["examples"] }
            for example in (examples as? [String: [String: Any]] ?? [:]).values {
                let bytes = try JSONSerialization.data(withJSONObject: try #require(example["value"]))
                _ = try StrictJSON.decode(type, from: Array(bytes))
                count += 1
            }
        }
        #expect(count > 10)
    }

    @Test func `of OAuth has the members of the response`() async throws {
        try await OAuthFixture.serve { server in
            let client = try await server.client(
                #"""
                "name": "c", "scope": "read", "aud": ["https://api.example"], "public": true,
                "grant_types": ["authorization_code", "refresh_token"], "redirect_uris": ["https://shop.example/cb"]
                """#)
            let wellKnown = "/.well-known/oauth-"
            try Self.expect("AuthorizationServerMetadata", try await server.get(wellKnown + "authorization-server"))
            try Self.expect("ProtectedResourceMetadata", try await server.get(wellKnown + "protected-resource"))
            let tokens = try await server.redeem(client.id, try await server.code(client.id))
            try Self.expect("TokenAnswer", tokens)
            try Self.expect("OAuthError", try await server.redeem(client.id, "none"))
        }
    }

    /// - Parameter answer: a response with all members that are possible.
    private static func expect(_ name: String, _ answer: ControlClient.Answer) throws {
        let json = try JSONSerialization.jsonObject(with: Data(answer.bytes))
        let names = Set(try #require(json as? [String: Any]).keys)
        let schema = try APIDocument().schema(name)
        #expect(names == Set((schema["properties"] as? [String: Any] ?? [:]).keys), "\(name)")
        #expect(names.isSuperset(of: schema["required"] as? [String] ?? []), "\(name)")
    }
}
