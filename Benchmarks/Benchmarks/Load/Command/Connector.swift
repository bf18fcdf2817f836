import LoadParts
import NIOCore
import NIOPosix
import NIOSSL

/// Makes connections to one server.
struct Connector: Sendable {
    /// How the server's certificate is judged.
    enum Trust: Sendable {
        case system
        /// PEM file of certificates.
        case file(String)
        case anything
    }

    private let address: SocketAddress
    private let tls: NIOSSLContext?
    /// Nil for an address: the certificate is then judged by that.
    private let serverName: String?

    private static let connectSeconds: Int64 = 5

    /// Resolves the name once: no look-up disturbs the run.
    init(to target: Target, trust: Trust) throws {
        switch target {
        case .unix(let path):
            address = try SocketAddress(unixDomainSocketPath: path)
            (tls, serverName) = (nil, nil)
        case .http(let host, let port):
            address = try SocketAddress.makeAddressResolvingHost(host, port: port)
            (tls, serverName) = (nil, nil)
        case .https(let host, let port):
            address = try SocketAddress.makeAddressResolvingHost(host, port: port)
            var configuration = TLSConfiguration.makeClientConfiguration()
            switch trust {
            case .system: break
            case .file(let path): configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(path))
            case .anything: configuration.certificateVerification = .none
            }
            tls = try NIOSSLContext(configuration: configuration)
            serverName = (try? SocketAddress(ipAddress: host, port: port)) == nil ? host : nil
        }
    }

    var isEncrypted: Bool { tls != nil }

    /// Tells `generator` how it went, by way of `connection` if it got so far.
    func connect(_ connection: Connection, for generator: Generator, on loop: any EventLoop) {
        let bound = NIOLoopBound((connection, generator), eventLoop: loop)
        ClientBootstrap(group: loop)
            .connectTimeout(.seconds(Self.connectSeconds))
            // One read a turn: a second would only find that nothing is left, and costs as much.
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: serverName))
                    }
                    try channel.pipeline.syncOperations.addHandler(bound.value.0)
                }
            }
            .connect(to: address)
            .whenFailure { error in bound.value.1.couldNotConnect(FailureText.of(error)) }
    }
}
