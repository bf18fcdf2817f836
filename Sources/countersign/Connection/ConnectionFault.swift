import AsyncHTTPClient
import Foundation
import NIOCore
import NIOPosix
import NIOSSL

/// Why a control plane could not be asked, in a sentence that says what to do. The packages' own texts name their types.
enum ConnectionFault {
    static func sentence(for error: any Error, _ address: ControlAddress) -> String {
        let place = "The daemon at '\(address.text)' "
        switch error {
        case let error as NIOConnectionError:
            let codes = error.connectionErrors.compactMap { ($0.error as? IOError)?.errnoCode }
            if codes.isEmpty { return "The name in '\(address.text)' has no address. Check it." }
            return place + system(codes[0])
        case let error as IOError: return place + system(error.errnoCode)
        case let error as HTTPClientError: return place + client(error, address)
        case is NIOSSLExtraError:
            return place + "has a certificate for another name. Use the name that stands in the certificate."
        case is NIOSSLError, is BoringSSLError: return place + security("\(error)")
        default: return place + "does not answer. Is it the right address, and does the daemon run?"
        }
    }

    /// Whether a request may have been sent before this happened. True in doubt.
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
        case EACCES, EPERM: "may not be reached from here: the system forbids it."
        default: "cannot be reached."
        }
    }

    private static func client(_ error: HTTPClientError, _ address: ControlAddress) -> String {
        switch error {
        case .connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout, .readTimeout, .deadlineExceeded:
            "did not answer in time."
        case .remoteConnectionClosed where address.baseURL.hasPrefix("http://"):
            "closed the connection. Does it speak TLS there? Then write https://."
        case .remoteConnectionClosed, .uncleanShutdown: "closed the connection. Its log may say why."
        default: "gave an answer that is not understood. Is it Countersign?"
        }
    }

    /// The texts of BoringSSL's error stack have one stable part: the name of the reason.
    private static func security(_ text: String) -> String {
        let reasons = [
            ("WRONG_VERSION_NUMBER", "does not speak TLS on this port. Write http://, or name its https port."),
            ("HTTP_REQUEST", "does not speak TLS on this port. Write http://, or name its https port."),
            (
                "CERTIFICATE_VERIFY_FAILED",
                "has a certificate that no known authority has signed. Name the authority's file with --control-ca."
            ),
            ("CERTIFICATE_REQUIRED", "wants a certificate of the caller, which this command has none of."),
        ]
        return reasons.first { text.contains($0.0) }?.1
            ?? "did not come to a TLS connection. Does it speak TLS on this port?"
    }
}
