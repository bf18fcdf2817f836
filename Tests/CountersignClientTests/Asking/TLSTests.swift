import ChildProcess
import CountersignClient
import Listening
import TestSupport
import Testing

/// Over https, to a service whose certificate a file of the operator's vouches for.
@Suite(.timeLimit(.minutes(5))) struct `A client over TLS` {
    @Test func `asks only who shows a certificate that it was told to trust`() async throws {
        let folder = try TemporaryFolder()
        for name in ["server", "other"] {
            _ = try ChildProcess.output(of: [
                "sh", "-c",
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=\(name) "
                    + "-addext subjectAltName=IP:127.0.0.1 -out \(folder(name)).pem -keyout \(folder(name)).key 2>&1",
            ])
        }
        let identity = try TLSIdentity(
            certificatePath: folder("server.pem"), keyPath: folder("server.key"), clientAuthorityPath: nil)
        try await withDaemon(["https://127.0.0.1:0"], identity: identity) { daemon in
            let key = try await daemon.key().credential
            var options = ClientOptions.patient(endpoint: try daemon.endpoint, credentials: try await daemon.client())
            options.certificateAuthorityPath = folder("server.pem")
            #expect(try await CountersignClient(options, logger: quiet).verify(key).isActive)
            for path in [folder("other.pem"), nil, folder("none.pem")] {
                options.certificateAuthorityPath = path
                let client = CountersignClient(options, logger: quiet)
                do throws(VerificationFailure) {
                    _ = try await client.verify(key)
                    Issue.record("a verdict")
                } catch {
                    guard case .unavailable = error else {
                        Issue.record("\(error)")
                        return
                    }
                }
            }
        }
    }
}
