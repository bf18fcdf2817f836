import CredentialModel
import Hummingbird
import NIOCore

/// What a handler knows of a request beside its bytes: the usual, and who is on the other side of the connection.
struct ControlPlaneContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let peer: Peer

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        peer = Peer(channel: source.channel)
    }
}

/// The other side of a connection, as far as the system tells.
struct Peer: Sendable {
    let channel: any Channel

    /// The address of a TCP peer; nil for a Unix socket.
    var address: IPAddress? { channel.remoteAddress?.ipAddress.flatMap { IPAddress($0) } }

    /// The number of the user whose process opened this Unix socket; nil where the system does not tell.
    func userNumber() async -> UInt32? {
        guard let provider = channel as? any SocketOptionProvider else { return nil }
        return try? await provider.peerUser().get()
    }
}
