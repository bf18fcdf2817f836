import AdministrationAPI
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOPosix
import NIOSSL

/// Why a control plane could not be reached, in a sentence that says what to do. The error texts of the packages are not shown:
/// they name types and codes of their own.
enum ConnectionFailure {
    static func sentence(for error: any Error, _ address: ControlAddress) -> String {
        let place = "The daemon at '\(address.text)' "
        switch error {
        case let error as NIOConnectionError:
            let codes = error.connectionErrors.compactMap { ($0.error as? IOError)?.errnoCode }
            if codes.isEmpty { return "The host name in '\(address.text)' does not resolve to an address. Check it." }
            return place + system(codes[0])
        case let error as IOError: return place + system(error.errnoCode)
        case let error as HTTPClientError: return place + client(error, address)
        case is NIOSSLExtraError:
            return place + "has a certificate for another name. Use the name in the certificate."
        case is NIOSSLError, is BoringSSLError: return place + security("\(error)")
        default: return place + "does not answer. Is the address right, and does the daemon run?"
        }
    }

    /// Whether a request may have been sent before the failure. True when that is unknown.
    static func mayHaveSent(_ error: any Error) -> Bool {
        switch error {
        case is NIOConnectionError, is NIOSSLExtraError, is NIOSSLError, is BoringSSLError: false
        case let error as IOError: error.errnoCode == ECONNRESET || error.errnoCode == EPIPE
        case let error as HTTPClientError:
            ![.connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout].contains(error)
        default: true
        }
    }

    private static func system(_ code: CInt) -> String {
        switch code {
        case ECONNREFUSED: "does not run, or listens elsewhere: nothing has this port."
        case ENETUNREACH, EHOSTUNREACH: "cannot be reached: there is no route to it."
        case ETIMEDOUT: "does not answer. Is a firewall in between?"
        case ECONNRESET, EPIPE: "closed the connection. Its log may say why."
        case EACCES, EPERM: "cannot be reached: the system does not permit this user to connect."
        default: "cannot be reached."
        }
    }

    private static func client(_ error: HTTPClientError, _ address: ControlAddress) -> String {
        switch error {
        case .connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout, .readTimeout, .deadlineExceeded:
            "did not answer in time."
        case .remoteConnectionClosed where address.baseURL.hasPrefix("http://"):
            "closed the connection. If it speaks TLS on this port, write https://."
        case .remoteConnectionClosed, .uncleanShutdown: "closed the connection. Its log may say why."
        default: "gave an answer that is not understood. Is it Countersign?"
        }
    }

    /// - Parameter text: BoringSSL's error stack. The names of the reasons are its only stable part.
    private static func security(_ text: String) -> String {
        let reasons = [
            ("WRONG_VERSION_NUMBER", "does not speak TLS on this port. Write http://, or name its https port."),
            ("HTTP_REQUEST", "does not speak TLS on this port. Write http://, or name its https port."),
            (
                "CERTIFICATE_VERIFY_FAILED",
                "has a certificate that no known authority has signed. Name the authority's file with --control-ca."
            ),
            (
                "CERTIFICATE_REQUIRED",
                "requires a client certificate, and this command has none. Use an address that takes API keys."
            ),
        ]
        return reasons.first { text.contains($0.0) }?.1
            ?? "did not complete a TLS handshake. Does it speak TLS on this port?"
    }
}

/// An answer that is not a success, and the failure that the command ends with.
struct RefusedRequest {
    /// Nil when the body is not `application/problem+json`.
    let problem: Problem?
    let statusCode: Int

    /// Whether to try again: nothing was done.
    var isBusy: Bool { problem?.type == .busy }

    var failure: CommandFailure {
        guard let problem else { return CommandFailure("The daemon answered with status \(statusCode).") }
        let status: CommandStatus =
            switch problem.type {
            case .unknownCredential, .unknownClient, .unknownOwner, .notFound: .negative
            case .invalidValue, .badQuery: .usage
            default: .failed
            }
        return CommandFailure(Self.sentence(of: problem), status: status)
    }

    /// Names options in place of members of JSON, since people type options: `'--expires-in'` for `'expires_in'`.
    private static func sentence(of problem: Problem) -> String {
        let sentence = problem.detail ?? "\(problem.title)."
        guard let member = problem.member, let option = options[member] else { return sentence }
        return sentence.replacing("'\(member)'", with: "'--\(option)'")
    }

    /// Options by the members that they set.
    private static let options: [String: String] = [
        "owner": "owner", "name": "name", "scope": "scope", "aud": "audience",
        "network": "network", "expires_in": "expires-in", "exp": "expires-at", "nbf": "not-before", "count": "count",
        "overlap_seconds": "overlap", "issued_before": "issued-before", "sub": "subject",
        "client_id": "client", "client_ip": "client-ip", "grant_types": "grant", "redirect_uris": "redirect-uri",
        "certificate_san": "certificate-san", "may": "may", "head": "head",
        "expires_before": "expires-before", "search": "search",
    ]
}
