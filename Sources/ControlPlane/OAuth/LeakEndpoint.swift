import AdministrationAPI
import CredentialModel
import HTTPTypes
import Hummingbird
import Issuance
import NIOCore

/// `POST /v1/leaks`: whoever has found a key or a token presents it here, and it is revoked. For secret scanners and for people;
/// nobody has to be known for it, since having the credential would let him do worse.
///
/// The answer is 202 in all cases and says nothing of whether there was such a credential.
struct LeakEndpoint: Sendable {
    let server: OAuthServer

    private static let bytesMax = 16 * 1_024

    func answer(_ request: Request, from peer: Peer) async -> Response {
        let accepted = Response(status: .accepted, headers: [.cacheControl: "no-store"])
        guard let buffer = try? await request.readBody(upTo: Self.bytesMax, from: peer) else {
            return .error("invalid_request", "the report is too long", status: .contentTooLarge)
        }
        guard let report = try? StrictJSON.decode(LeakReport.self, from: Array(buffer.readableBytesView)) else {
            return .error(
                "invalid_request", #"send {"credential": "…"} as application/json"#, status: .badRequest)
        }
        do {
            let found = SecretText(Array(report.credential.reveal().utf8))
            if try server.authentication.secrets.mayBeKnown(found) {
                _ = try await server.issuer.revokeLeaked(found)
            }
            return accepted
        } catch {
            // Trouble is trouble: a finder who is told 202 goes away.
            return OAuthError(.temporarilyUnavailable, "the report could not be taken; send it again").response(
                realm: "")
        }
    }
}
