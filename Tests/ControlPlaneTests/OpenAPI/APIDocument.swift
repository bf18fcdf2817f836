@testable import ControlPlane
import Foundation
import Testing

/// The OpenAPI document, as the tests read it.
struct APIDocument {
    let root: [String: Any]

    struct Operation: Hashable, CustomStringConvertible {
        let method: String
        let path: String

        var description: String { "\(method) \(path)" }
    }

    init() throws {
        root = try #require(try JSONSerialization.jsonObject(with: Data(EmbeddedFile.openAPI.bytes)) as? [String: Any])
    }

    var paths: [String: [String: Any]] { root["paths"] as? [String: [String: Any]] ?? [:] }

    /// Each operation with its own parameters and its path's.
    func operations() throws -> [Operation: [String: Any]] {
        var operations: [Operation: [String: Any]] = [:]
        for (path, item) in paths {
            for (method, value) in item where !["parameters", "servers", "x-any-method"].contains(method) {
                var operation = try #require(value as? [String: Any])
                let shared = item["parameters"] as? [[String: Any]] ?? []
                operation["parameters"] = shared + (operation["parameters"] as? [[String: Any]] ?? [])
                operations[Operation(method: method.uppercased(), path: path)] = operation
            }
        }
        return operations
    }

    /// The names of an operation's parameters by their location.
    func parameters(_ operation: [String: Any]) throws -> [String: Set<String>] {
        var names: [String: Set<String>] = [:]
        for parameter in operation["parameters"] as? [[String: Any]] ?? [] {
            let value = try (parameter["$ref"] as? String).map { try resolve($0) } ?? parameter
            names[value["in"] as? String ?? "", default: []].insert(value["name"] as? String ?? "")
        }
        return names
    }

    /// The media types of an operation's body.
    func content(_ operation: [String: Any]) -> [String: [String: Any]] {
        (operation["requestBody"] as? [String: Any])?["content"] as? [String: [String: Any]] ?? [:]
    }

    var schemas: [String: [String: Any]] {
        (root["components"] as? [String: Any])?["schemas"] as? [String: [String: Any]] ?? [:]
    }

    func schema(_ name: String) throws -> [String: Any] { try #require(schemas[name], "\(name)") }

    func resolve(_ reference: String) throws -> [String: Any] {
        var value: Any = root
        for name in reference.split(separator: "/").dropFirst() {
            value = try #require((value as? [String: Any])?[String(name)], "\(reference)")
        }
        return try #require(value as? [String: Any])
    }

    func references(in value: Any) -> [String] {
        if let object = value as? [String: Any] {
            return object.flatMap { name, value in
                name == "$ref" ? [value as? String ?? ""] : references(in: value)
            }
        }
        return (value as? [Any])?.flatMap { references(in: $0) } ?? []
    }

    /// What a schema describes.
    func shape(_ schema: [String: Any]) throws -> MemberShape { try member(schema, isRequired: true).shape }

    private func member(_ schema: [String: Any], isRequired: Bool) throws -> MemberShape.Member {
        if let reference = schema["$ref"] as? String {
            return try member(try resolve(reference), isRequired: isRequired)
        }
        if let parts = schema["allOf"] as? [[String: Any]] {
            var members: [String: MemberShape.Member] = [:]
            for part in parts {
                guard case .object(let found) = try shape(part) else { throw Unknown(schema: "\(schema)") }
                members.merge(found) { _, last in last }
            }
            return .init(shape: .object(members), isRequired: isRequired, isNullable: false)
        }
        if let choices = schema["oneOf"] as? [[String: Any]], schema["type"] == nil {
            let values = choices.filter { $0["type"] as? String != "null" }
            guard values.count == 1, choices.count == 2 else { throw Unknown(schema: "\(schema)") }
            return .init(shape: try shape(values[0]), isRequired: isRequired, isNullable: true)
        }
        let types = schema["type"] as? [String] ?? [schema["type"] as? String ?? ""]
        let kinds = types.filter { $0 != "null" }
        guard kinds.count == 1 else { throw Unknown(schema: "\(schema)") }
        return .init(
            shape: try shape(of: kinds[0], schema), isRequired: isRequired, isNullable: types.contains("null"))
    }

    private func shape(of kind: String, _ schema: [String: Any]) throws -> MemberShape {
        switch kind {
        case "string": return .text(allowed: (schema["enum"] as? [String]).map { Set($0) })
        case "integer": return .integer
        case "boolean": return .truth
        case "array":
            let items = try #require(schema["items"] as? [String: Any])
            return .list(try shape(items))
        case "object" where schema["additionalProperties"] is [String: Any]: return .map
        case "object":
            let properties = schema["properties"] as? [String: [String: Any]] ?? [:]
            let required = schema["required"] as? [String] ?? []
            #expect(Set(required).isSubset(of: properties.keys), "required, but not described: \(required)")
            var members: [String: MemberShape.Member] = [:]
            for (name, property) in properties {
                members[name] = try member(property, isRequired: required.contains(name))
            }
            return .object(members)
        default: throw Unknown(schema: "\(schema)")
        }
    }

    /// A schema of a form that these tests do not support.
    struct Unknown: Error {
        let schema: String
    }
}
