import CredentialModel
import DataPlane
import ForwardAuth
import Foundation
import Yams

/// The file of policies: names, and what each policy requires of requests. YAML or JSON.
///
/// ```yaml
/// orders:
///   scope: orders:read
///   audience: https://api.example/orders
///   schemes: [ApiKey, Bearer]
///   query-keys: false
///   bearer-keys: true
///   preflight: true
///   rules:
///     - path: /orders/admin
///       scope: orders:admin
/// ```
///
/// A rule inherits from its policy what it does not set. Everything is checked before anything is used.
enum PolicyFile {
    /// - Throws: ``CommandFailure`` that names the file, and the policy and member that are wrong.
    static func read(_ path: String) throws(CommandFailure) -> PolicySet {
        guard let root = try YAMLFile.read(path, "policy file")?.any as? [String: Any] else {
            throw CommandFailure(
                "The policy file '\(path)' must hold names of policies, each with its settings, as 'orders: {scope: …}'.",
                status: .usage)
        }
        do throws(ListFault) {
            var policies: [Policy] = []
            for (name, value) in root.sorted(by: { $0.key < $1.key }) { policies.append(try policy(name, value)) }
            return try PolicySet(policies)
        } catch {
            throw CommandFailure("In '\(path)': \(error.reason).", status: .usage)
        }
    }

    private static func policy(_ name: String, _ value: Any) throws(ListFault) -> Policy {
        guard let members = (value is NSNull ? [:] : value) as? [String: Any] else {
            throw ListFault(reason: "policy '\(name)' must hold names and values")
        }
        let rule = try self.rule(members, of: name, beside: ["rules"], from: PolicyRule())
        var places: [Policy.Place] = []
        if let listed = members["rules"] {
            guard let listed = listed as? [[String: Any]] else {
                throw ListFault(reason: "policy '\(name)': rules must be a list, each with names and values")
            }
            for members in listed {
                let own = try self.rule(members, of: name, beside: ["host", "path"], from: rule)
                let host = try text(members, "host", name)
                let path = try text(members, "path", name)
                guard host != nil || path != nil else {
                    throw ListFault(reason: "policy '\(name)': a rule needs a host or a path")
                }
                places.append(Policy.Place(host: host, path: path ?? "/", rule: own))
            }
        }
        return Policy(name: name, rule: rule, places: places)
    }

    private static func rule(
        _ members: [String: Any], of name: String, beside others: Set<String>, from base: PolicyRule
    ) throws(ListFault) -> PolicyRule {
        let known: Set = ["scope", "audience", "schemes", "query-keys", "bearer-keys", "preflight"]
        if let unknown = members.keys.sorted().first(where: { !known.contains($0) && !others.contains($0) }) {
            throw ListFault(
                reason:
                    "policy '\(name)': '\(unknown)' is not one of \(known.union(others).sorted().joined(separator: ", "))"
            )
        }
        var rule = base
        if let scope = try text(members, "scope", name) { rule.scope = scope.split(separator: " ").map(String.init) }
        if let audience = try text(members, "audience", name) { rule.audience = audience }
        if let allows = try truth(members, "query-keys", name) { rule.allowsQueryKeys = allows }
        if let allows = try truth(members, "bearer-keys", name) { rule.allowsBearerKeys = allows }
        if let allows = try truth(members, "preflight", name) { rule.allowsPreflight = allows }
        if let value = members["schemes"] {
            // A single text counts as a list of one.
            let words = value as? [String] ?? (value as? String).map { [$0] }
            guard let schemes = words?.map({ $0.lowercased() }),
                schemes.allSatisfy({ ["apikey", "bearer"].contains($0) })
            else { throw ListFault(reason: "policy '\(name)': schemes are ApiKey and Bearer, in a list") }
            (rule.allowsKeys, rule.allowsTokens) = (schemes.contains("apikey"), schemes.contains("bearer"))
        }
        return rule
    }

    private static func text(_ members: [String: Any], _ key: String, _ name: String) throws(ListFault) -> String? {
        guard let value = members[key] else { return nil }
        guard let text = value as? String else { throw ListFault(reason: "policy '\(name)': \(key) must be a text") }
        return text
    }

    private static func truth(_ members: [String: Any], _ key: String, _ name: String) throws(ListFault) -> Bool? {
        guard let value = members[key] else { return nil }
        guard let truth = value as? Bool else {
            throw ListFault(reason: "policy '\(name)': \(key) must be true or false")
        }
        return truth
    }
}
