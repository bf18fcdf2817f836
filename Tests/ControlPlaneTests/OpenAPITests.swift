@testable import ControlPlane
import ControlPlaneFixture
import Foundation
import Hummingbird
import Issuance
import Logging
import TestSupport
import Testing

@Suite struct OpenAPITests {
    private func document() throws -> [String: Any] {
        let json = try JSONSerialization.jsonObject(with: Data(OpenAPIDocument.bytes))
        return try #require(json as? [String: Any])
    }

    private func routes() throws -> [Route] {
        let fixture = try Fixture()
        defer { withExtendedLifetime(fixture) {} }
        let services = try ControlPlaneServices(
            issuer: fixture.issuer,
            readiness: { .ready }, backupFolder: "/nowhere")
        return openRoutes(services) + administrationRoutes(services)
    }

    private struct Operation: Hashable {
        let method: String
        let path: String
    }

    /// Each operation of the document with its own parameters and its path's.
    private func operations() throws -> [Operation: [String: Any]] {
        let paths = try #require(try document()["paths"] as? [String: [String: Any]])
        var operations: [Operation: [String: Any]] = [:]
        for (path, item) in paths {
            for (method, value) in item where method != "parameters" {
                var operation = try #require(value as? [String: Any])
                let shared = item["parameters"] as? [[String: Any]] ?? []
                operation["parameters"] = shared + (operation["parameters"] as? [[String: Any]] ?? [])
                operations[Operation(method: method.uppercased(), path: path)] = operation
            }
        }
        return operations
    }

    @Test func `the document and the router know the same routes`() throws {
        let router = controlPlaneRouter(
            try routes(), issuer: try Fixture().issuer, access: .socketFile, logger: Logger(label: "test"))
        let served = Set(router.routes.map { Operation(method: $0.method.rawValue, path: $0.path.description) })
        #expect(Set(try operations().keys) == served)
        #expect(served.count == (try routes().count))
    }

    @Test func `the document tells the right that the route needs`() throws {
        let operations = try operations()
        for route in try routes() {
            let operation = operations[Operation(method: route.method.rawValue, path: route.path)]
            #expect(operation?["x-right"] as? String == route.right?.rawValue, "\(route.method) \(route.path)")
        }
        // One is a right on the data plane only.
        #expect(Set(try routes().compactMap(\.right)) == Set(Right.allCases).subtracting([.introspect]))
    }

    @Test func `the document tells the parameters that the route reads`() throws {
        let document = try document()
        let operations = try operations()
        for route in try routes() {
            let operation = try #require(operations[Operation(method: route.method.rawValue, path: route.path)])
            var names: [String: Set<String>] = [:]
            for parameter in operation["parameters"] as? [[String: Any]] ?? [] {
                let value = try (parameter["$ref"] as? String).map { try resolve($0, in: document) } ?? parameter
                names[value["in"] as? String ?? "", default: []].insert(value["name"] as? String ?? "")
            }
            #expect(names["query"] ?? [] == Set(route.query), "\(route.method) \(route.path)")
            let captures = route.path.split(separator: "/").filter { $0.first == "{" }.map { $0.dropFirst().dropLast() }
            #expect(names["path"] ?? [] == Set(captures.map(String.init)), "\(route.method) \(route.path)")
            let required = (operation["requestBody"] as? [String: Any])?["required"] as? Bool
            let expected: Bool? =
                switch route.body {
                case .none: nil
                case .json: true
                case .optionalJSON: false
                }
            #expect(required == expected, "\(route.method) \(route.path)")
        }
    }

    @Test func `every reference leads somewhere and every operation has its own name`() throws {
        let document = try document()
        for reference in references(in: document) { _ = try resolve(reference, in: document) }
        let names = try operations().values.compactMap { $0["operationId"] as? String }
        #expect(Set(names).count == (try routes().count))
    }

    @Test func `the document is served as it is`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let answer = try await plane.client.get("/openapi.json")
            #expect(answer.status == 200)
            #expect(answer.headers["content-type"] == "application/json")
            #expect(answer.bytes == OpenAPIDocument.bytes)
            #expect(answer.text("openapi") == "3.1.0")
        }
    }

    private func resolve(_ reference: String, in document: [String: Any]) throws -> [String: Any] {
        var value: Any = document
        for name in reference.split(separator: "/").dropFirst() {
            value = try #require((value as? [String: Any])?[String(name)], "\(reference)")
        }
        return try #require(value as? [String: Any])
    }

    private func references(in value: Any) -> [String] {
        if let object = value as? [String: Any] {
            return object.flatMap { name, value in
                name == "$ref" ? [value as? String ?? ""] : references(in: value)
            }
        }
        return (value as? [Any])?.flatMap { references(in: $0) } ?? []
    }
}
