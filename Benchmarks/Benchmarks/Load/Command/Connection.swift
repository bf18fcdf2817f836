import LoadParts
import NIOCore
import NIOTLS

/// A request whose answer is awaited.
struct Flight {
    /// Nanoseconds; when it was due, which may be long before it was sent.
    let due: Int
    let asked: RequestMix.Asked
}

/// One connection: moves bytes and knows which requests are under way. ``Generator`` decides what is sent when.
final class Connection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case connecting
        case open
        /// The server has announced its end, or its bytes make no sense: nothing more is sent.
        case ending
        case closed
    }

    private let generator: Generator
    private let isEncrypted: Bool
    private var phase = Phase.connecting
    private var flights: CircularBuffer<Flight>
    private let flightsMax: Int
    /// What has been added since the last flush.
    private var out: ByteBuffer
    /// The beginning of an answer whose rest has not come.
    private var pending: ByteBuffer?
    private var context: ChannelHandlerContext?
    private var lastError: (any Error)?
    /// Whether ``Generator`` has it among the connections with room.
    var isListed = false

    init(generator: Generator, pipeline: Int, isEncrypted: Bool) {
        self.generator = generator
        self.isEncrypted = isEncrypted
        flightsMax = pipeline
        flights = CircularBuffer(initialCapacity: pipeline)
        out = ByteBufferAllocator().buffer(capacity: 4_096)
    }

    /// Whether it may take one more request.
    var hasRoom: Bool { phase == .open && flights.count < flightsMax }

    /// Whether requests have been added since the last flush.
    var hasUnsent: Bool { out.readableBytes > 0 }

    func add(_ flight: Flight, _ request: [UInt8]) {
        flights.append(flight)
        out.writeBytes(request)
    }

    /// Sends what was added, in one write.
    func flush() {
        guard let context, hasUnsent else { return }
        context.writeAndFlush(Self.wrapOutboundOut(out), promise: nil)
        // The channel has usually let go of the bytes by now, and the memory is used again.
        out.clear()
    }

    // MARK: ChannelInboundHandler

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func channelActive(context: ChannelHandlerContext) {
        if !isEncrypted { opened() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? TLSUserEvent, case .handshakeCompleted = event { opened() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = Self.unwrapInboundIn(data)
        if var earlier = pending {
            pending = nil
            earlier.writeBuffer(&bytes)
            bytes = earlier
        }
        read(&bytes, context)
        if bytes.readableBytes > 0, phase == .open {
            bytes.discardReadBytes()
            pending = bytes
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        generator.readComplete(self)
    }

    func channelInactive(context: ChannelHandlerContext) {
        let wasOpen = phase != .connecting
        phase = .closed
        self.context = nil
        if wasOpen {
            generator.closed(self, lost: flights.count, after: lastError)
        } else {
            generator.couldNotConnect(lastError.map(FailureText.of) ?? "the server closed the connection at once")
        }
        flights.removeAll()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The first says most; what follows is of its making.
        lastError = lastError ?? error
        context.close(promise: nil)
    }

    private func opened() {
        phase = .open
        generator.opened(self)
    }

    private func read(_ bytes: inout ByteBuffer, _ context: ChannelHandlerContext) {
        let now = Generator.now
        while bytes.readableBytes > 0, phase == .open {
            do throws(Malformation) {
                guard let response = try Response.read(bytes.readableBytesUInt8Span) else { return }
                guard let flight = flights.popFirst() else { throw .unasked }
                generator.answered(flight, response, bytes.readableBytesUInt8Span, at: now)
                bytes.moveReaderIndex(forwardBy: response.body.upperBound)
                if response.closes { end(context) }
            } catch {
                lastError = error
                end(context)
            }
        }
    }

    private func end(_ context: ChannelHandlerContext) {
        phase = .ending
        context.close(promise: nil)
    }
}
