import class ControlPlane.Explainer
import CredentialModel
import Foundation
import Issuance
import Testing

/// The explanation for an operator (`/v1/explain`), compared with the data plane.
@Suite(.timeLimit(.minutes(10))) struct `An explanation` {
    private struct Planted {
        let secret: String
        var scheme = "ApiKey"
    }

    /// Credentials that are refused for several reasons at once, for one, or for none.
    private func credentials(_ server: RunningServer) async throws -> [Planted] {
        let now = server.now
        func key(
            _ scope: String = "read", audience: String? = nil, limited: Bool = false, later: Bool = false
        ) async throws -> (id: CredentialID, secret: String) {
            try await server.key(
                KeyRequest(
                    owner: "alice", scope: [scope], audience: audience.map { [$0] } ?? [],
                    networks: limited ? ["10.0.0.0/8"] : [], notBefore: later ? now.adding(1_000) : nil))
        }
        var planted: [Planted] = []
        for audience in [nil, "urn:a", "urn:other"] {
            for limited in [false, true] {
                for later in [false, true] {
                    let made = try await key(audience: audience, limited: limited, later: later)
                    planted.append(Planted(secret: made.secret))
                }
                let revoked = try await key("write", audience: audience, limited: limited, later: true)
                _ = try await server.issuer.revoke([revoked.id], chain: false)
                planted.append(Planted(secret: revoked.secret))
            }
        }
        for kind in [CredentialKind.apiKey, .accessToken, .refreshToken, .authorizationCode, .clientSecret] {
            for isOver in [false, true] {
                let secret = try await server.plant(kind, scope: "read") {
                    if isOver { $0.record.expiresAt = UnixSeconds(5) }
                }.secret
                planted.append(Planted(secret: secret, scheme: kind == .apiKey ? "ApiKey" : "Bearer"))
            }
        }
        let unknown = CredentialFormat.mint(kind: .apiKey, id: .random(), vendor: .iiniit).reveal()
        return planted + [Planted(secret: unknown), Planted(secret: "nonsense")]
    }

    private static let addresses = [nil, "10.1.2.3", "192.0.2.7"]
    private static let scopes = [nil, "read", "write", "read write"]

    /// The data plane reports credentials that a client may not learn about as unknown; the operator gets the reason.
    private func told(_ reason: InactiveReason?) -> String {
        reason == .wrongAudience ? "unknown" : reason?.code ?? "valid"
    }

    @Test func `has the verdict and the first reason of /v1/verify, for any caller`() async throws {
        try await withServer { server in
            let explaining = try Explainer(issuer: server.issuer)
            let credentials = try await credentials(server)
            let client = try await server.connect()
            var reasons: Set<String> = []
            for audience in [[], ["urn:a"], ["urn:a", "urn:other"]] {
                let caller = try await server.caller(audience: audience)
                for address in Self.addresses {
                    for scope in Self.scopes {
                        var members: [String: String] = [:]
                        members["client_ip"] = address
                        members["scope"] = scope
                        let answer = try await client.ask(
                            verdicts(credentials.map(\.secret), caller.authorization, members: members))
                        for (planted, reason) in zip(credentials, try answer.reasons()) {
                            let explained = try await explaining.explain(
                                Array(planted.secret.utf8),
                                scope: scope.map { $0.split(separator: " ").map(String.init) } ?? [],
                                clientID: caller.id, address: address.flatMap { IPAddress($0) })
                            #expect(told(explained.inactive) == reason, "\(members) \(audience)")
                            reasons.insert(explained.inactive.map { "\($0)" } ?? "valid")
                        }
                    }
                }
            }
            #expect(reasons.count == InactiveReason.allCases.count + 1)
        }
    }

    @Test func `has the verdict and the first reason of /verify`() async throws {
        try await withServer { server in
            let explaining = try Explainer(issuer: server.issuer)
            let credentials = try await credentials(server)
            let client = try await server.connect()
            var counted = outcomes(server)
            for planted in credentials {
                for address in Self.addresses {
                    for scope in Self.scopes {
                        let query = scope.map { "?scope=" + $0.replacing(" ", with: "+") } ?? ""
                        let fields =
                            ["Authorization: \(planted.scheme) \(planted.secret)"]
                            + (address.map { ["X-Forwarded-For: \($0)"] } ?? [])
                        let answer = try await client.ask(verification(query, fields: fields))
                        let explained = try await explaining.explain(
                            Array(planted.secret.utf8),
                            scope: scope.map { $0.split(separator: " ").map(String.init) } ?? [],
                            clientID: nil, address: address.flatMap { IPAddress($0) })
                        let status =
                            switch explained.inactive {
                            case nil: 200
                            case .insufficientScope: 403
                            default: 401
                            }
                        #expect(answer.status == status, "\(fields.dropFirst()) \(query)")
                        let now = outcomes(server)
                        let outcome = explained.inactive == .wrongKind ? "wrong_kind" : explained.code
                        #expect(now[outcome, default: 0] == counted[outcome, default: 0] + 1, "\(outcome) \(query)")
                        counted = now
                    }
                }
            }
        }
    }

    /// The counters of `/verify`, which show its first reason.
    private func outcomes(_ server: RunningServer) -> [String: UInt64] {
        var outcomes: [String: UInt64] = [:]
        for (key, count) in server.server.figures.verifications where key.interface == "verify" {
            outcomes[key.outcome, default: 0] += count
        }
        return outcomes
    }
}
