import Hummingbird
import HummingbirdCore
import Listening
import Logging
import NIOCore
import NIOHTTPTypes
import NIOSSL

// The control plane's routes are Hummingbird's, its HTTP is ours.
//
// Hummingbird's own channel puts SwiftNIO's decoder in front of the routes. That is a good decoder for a web application and
// reads several things otherwise than the data plane: it takes HTTP/1.1 without Host and with two, an absolute-form target of
// another host, and bare line feeds; after `Upgrade` or CONNECT it waits for another protocol and answers nothing more on the
// connection; it knows no deadline for a head, and answers 400 for one that is too long. Each of these can be mended by one
// more handler in front or behind, and then the two planes agree only as far as somebody has thought of everything. With one
// parser for both they agree because there is nothing else: what the fuzzers and the differential test say of it holds here.
//
// So a connection is: TLS, if any; then ``RequestConnection``, which turns bytes into the request parts that Hummingbird
// reads, and response parts into bytes; then Hummingbird, which only routes and answers.

/// Serves HTTP/1.1 to Hummingbird's routes, as strictly as the data plane does.
struct StrictHTTPChannel: HTTPChannelHandler {
    typealias Value = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    let responder: Responder
    /// Nil for cleartext. New connections get the newest certificate.
    let identity: TLSIdentity?
    let share: ConnectionShare

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        guard share.admit(channel, now: channel.eventLoop.now) else {
            return channel.close().flatMapThrowing { throw ConnectionShare.Full() }
        }
        return channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            if let identity {
                try pipeline.addHandler(ProtocolGuard.http1)
                try pipeline.addHandler(NIOSSLServerHandler(context: identity.context))
            }
            try pipeline.addHandler(RequestConnection(isEncrypted: identity != nil, share: share))
            return try NIOAsyncChannel(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
        }
    }

    func handle(value: Value, logger: Logger) async {
        await handleHTTP(asyncChannel: value, logger: logger)
    }
}
