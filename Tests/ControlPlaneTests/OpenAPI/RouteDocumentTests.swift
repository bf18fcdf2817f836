@testable import ControlPlane
import ControlPlaneFixture
import Foundation
import Hummingbird
import Issuance
import Logging
import TestSupport
import Testing

/// The OpenAPI document against the route tables: what is served is described, and what is described is served.
@Suite struct `The OpenAPI document and the routes` {
    private let document: APIDocument
    private let operations: [APIDocument.Operation: [String: Any]]
    private let administration: [Route]

    init() throws {
        document = try APIDocument()
        operations = try document.operations()
        let fixture = try Fixture()
        defer { withExtendedLifetime(fixture) {} }
        let services = try ControlPlaneServices(
            issuer: fixture.issuer, readiness: { .ready }, backupFolder: "/nowhere")
        administration = openRoutes(services) + administrationRoutes(services)
    }

    private func operation(_ route: Route) -> APIDocument.Operation {
        APIDocument.Operation(method: route.method.rawValue, path: route.path)
    }

    /// With every endpoint that a setting can add. CORS preflights do not count as operations.
    private func oauth() throws -> Set<APIDocument.Operation> {
        let fixture = try Fixture()
        defer { withExtendedLifetime(fixture) {} }
        let server = try OAuthServer(
            issuer: fixture.issuer, settings: OAuthSettings(issuer: "http://127.0.0.1:8081", login: .demonstration))
        let served = oauthRouter(server, logger: Logger(label: "test")).routes
        return Set(
            served.filter { $0.method != .options }.map { route in
                // The rest of the path, for which OpenAPI has no notation.
                let path = route.path.description.replacing("/**", with: "/{path}")
                return APIDocument.Operation(method: route.method.rawValue, path: path)
            })
    }

    @Test func `are the same, on both planes`() throws {
        let router = controlPlaneRouter(
            administration + AdministrationPage.routes, issuer: try Fixture().issuer, access: .socketFile,
            logger: Logger(label: "test"))
        let administered = Set(
            router.routes.map {
                APIDocument.Operation(method: $0.method.rawValue, path: $0.path.description)
            })
        #expect(administered.count == administration.count + AdministrationPage.routes.count)
        let verified = DataPlaneRoute.all.map {
            APIDocument.Operation(method: $0.takesAnyMethod ? "GET" : $0.method, path: $0.path)
        }
        let served = administered.union(try oauth()).union(verified)
        #expect(Set(operations.keys).subtracting(served) == [], "described, but not served")
        #expect(served.subtracting(operations.keys) == [], "served, but not described")
    }

    @Test func `agree on the rights`() throws {
        for route in administration {
            let described = try #require(operations[operation(route)])
            #expect(described["x-right"] as? String == route.right?.rawValue, "\(operation(route))")
        }
        let administered = Set(administration.map(operation))
        for route in DataPlaneRoute.all {
            let operation = APIDocument.Operation(method: route.takesAnyMethod ? "GET" : route.method, path: route.path)
            let described = try #require(operations[operation])
            // If both planes serve a path, such as /metrics, the document has the right of administration.
            guard !administered.contains(operation) || route.right != nil else { continue }
            #expect(described["x-right"] as? String == route.right, "\(operation)")
        }
        let named = operations.values.compactMap { $0["x-right"] as? String }
        #expect(Set(named) == Set(Right.allCases.map(\.rawValue)))
        for (operation, described) in operations {
            guard let right = described["x-right"] as? String else { continue }
            #expect((described["description"] as? String)?.contains("`\(right)`") == true, "\(operation)")
        }
    }

    /// Either the operation itself, or the document for all.
    @Test func `say who may call each operation`() throws {
        let schemes = try document.resolve("#/components/securitySchemes")
        let forAll = try #require(document.root["security"] as? [[String: Any]])
        for (operation, described) in operations {
            let security = described["security"] as? [[String: Any]] ?? forAll
            for name in security.flatMap(\.keys) { #expect(schemes[name] != nil, "\(operation): \(name)") }
            if described["x-right"] != nil { #expect(!security.isEmpty, "\(operation)") }
        }
        for route in administration where route.right == nil {
            #expect((operations[operation(route)]?["security"] as? [Any])?.isEmpty == true, "\(operation(route))")
        }
    }

    @Test func `say which listener has each path outside of administration`() throws {
        let elsewhere = Set(try oauth().map(\.path) + DataPlaneRoute.all.map(\.path))
        for (path, item) in document.paths {
            #expect(!elsewhere.contains(path) || item["servers"] != nil, "\(path)")
        }
    }

    @Test func `agree on the paths that take any method`() throws {
        let marked = document.paths.filter { $0.value["x-any-method"] as? Bool == true }.map(\.key)
        #expect(Set(marked) == Set(DataPlaneRoute.all.filter(\.takesAnyMethod).map(\.path)))
    }

    @Test func `agree on parameters and bodies`() throws {
        for route in administration {
            let described = try #require(operations[operation(route)])
            let names = try document.parameters(described)
            #expect(names["query"] ?? [] == Set(route.query), "\(operation(route))")
            let captures = route.path.split(separator: "/").filter { $0.first == "{" }.map { $0.dropFirst().dropLast() }
            #expect(names["path"] ?? [] == Set(captures.map(String.init)), "\(operation(route))")
            #expect(
                Set(document.content(described).keys) == Set(route.takes.map { [$0.mediaType] } ?? []),
                "\(operation(route))")
            let required = (described["requestBody"] as? [String: Any])?["required"] as? Bool
            let expected: Bool? =
                switch route.body {
                case .none: nil
                case .json: true
                case .optionalJSON: false
                }
            #expect(required == expected, "\(operation(route))")
        }
        for route in DataPlaneRoute.all where !route.takesAnyMethod {
            let operation = APIDocument.Operation(method: route.method, path: route.path)
            let described = try #require(operations[operation])
            #expect(Set(document.content(described).keys) == Set(route.mediaType.map { [$0] } ?? []), "\(operation)")
        }
    }

    /// Generators make one function for each media type, and some give both the same name.
    @Test func `have one media type for each body`() {
        for (operation, described) in operations {
            #expect(document.content(described).count <= 1, "\(operation)")
        }
        for route in administration where route.method == .patch {
            #expect(route.takes?.mediaType == "application/merge-patch+json", "\(operation(route))")
        }
    }

    @Test func `have no dangling reference and no duplicate name`() throws {
        for reference in document.references(in: document.root) { _ = try document.resolve(reference) }
        let names = operations.values.compactMap { $0["operationId"] as? String }
        #expect(Set(names).count == operations.count)
    }

    @Test func `are served at every address of administration`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let answer = try await plane.client.get("/openapi.json")
            #expect(answer.status == 200)
            #expect(answer.headers["content-type"] == "application/json")
            #expect(answer.bytes == EmbeddedFile.openAPI.bytes)
            #expect(answer.text("openapi") == "3.1.0")
        }
    }
}
