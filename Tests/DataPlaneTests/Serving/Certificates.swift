import Foundation
import Glibc
import Listening
import NIOSSL
import TestSupport

/// Certificates of an authority created for one test, by the `openssl` program.
struct Certificates: Sendable {
    let folder: TemporaryFolder

    struct Failed: Error {
        let arguments: [String]
    }

    init() throws {
        folder = try TemporaryFolder()
        try authority("ca")
    }

    func path(_ name: String) -> String { folder(name + ".pem") }
    func keyPath(_ name: String) -> String { folder(name + ".key") }

    /// Another authority, which is not trusted by default.
    func authority(_ name: String) throws {
        try openssl(["-subj", "/CN=\(name)", "-addext", "basicConstraints=critical,CA:TRUE"], name)
    }

    /// A certificate signed by an authority, with these alternative names, as `DNS:svc.example`.
    func leaf(_ name: String, _ san: String?, by authority: String = "ca") throws {
        let names = san.map { ["-addext", "subjectAltName=\($0)"] } ?? []
        try openssl(
            ["-subj", "/CN=\(name)", "-CA", path(authority), "-CAkey", keyPath(authority)]
                + ["-addext", "basicConstraints=critical,CA:FALSE"] + names, name)
    }

    private func openssl(_ arguments: [String], _ name: String) throws {
        let all =
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
            + ["-out", path(name), "-keyout", keyPath(name)] + arguments
        // Not Foundation's Process: it reads the table of open files, which other tests modify at the same time, and
        // can crash.
        var files = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&files)
        defer { posix_spawn_file_actions_destroy(&files) }
        for descriptor in [STDOUT_FILENO, STDERR_FILENO] {
            posix_spawn_file_actions_addopen(&files, descriptor, "/dev/null", O_WRONLY, 0)
        }
        var words = all.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var process = pid_t()
        guard posix_spawnp(&process, "openssl", &files, nil, &words, environ) == 0 else { throw Failed(arguments: all) }
        var status: Int32 = -1
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else { throw Failed(arguments: all) }
    }

    /// The identity of a server whose certificate is called `server`.
    func identity(clientAuthority: String? = nil) throws -> TLSIdentity {
        if !FileManager.default.fileExists(atPath: path("server")) { try leaf("server", "DNS:localhost,IP:127.0.0.1") }
        return try TLSIdentity(
            certificatePath: path("server"), keyPath: keyPath("server"), clientAuthorityPath: clientAuthority.map(path))
    }

    /// The TLS configuration of a client of that server.
    /// - Parameter leaf: the certificate that it presents.
    func client(
        _ leaf: String? = nil, _ versions: (least: TLSVersion, most: TLSVersion) = (.tlsv12, .tlsv13),
        ciphers: [NIOTLSCipher]? = nil, protocols: [String] = ["http/1.1"]
    ) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .file(path("ca"))
        configuration.certificateVerification = .noHostnameVerification
        configuration.minimumTLSVersion = versions.least
        configuration.maximumTLSVersion = versions.most
        configuration.applicationProtocols = protocols
        if let ciphers { configuration.cipherSuiteValues = ciphers }
        if let leaf {
            configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(path(leaf)).map { .certificate($0) }
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: keyPath(leaf), format: .pem))
        }
        return try NIOSSLContext(configuration: configuration)
    }
}
