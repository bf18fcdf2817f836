import Listening
import NIOCore
import NIOEmbedded
import Testing

/// RFC 7301 §3.2: a client that offers only unsupported protocols gets an alert.
@Suite struct `A TLS client` {
    private func counted(_ bytes: [UInt8], _ width: Int) -> [UInt8] {
        (0..<width).reversed().map { UInt8(truncatingIfNeeded: bytes.count >> (8 * $0)) } + bytes
    }

    /// A ClientHello in records of a given size.
    private func hello(_ protocols: [String]?, perRecord: Int = 16_384) -> [UInt8] {
        var extensions: [UInt8] = [0, 23, 0, 0]
        if let protocols {
            let list = counted(protocols.flatMap { counted(Array($0.utf8), 1) }, 2)
            extensions += [0, 16] + counted(list, 2)
        }
        extensions += [0, 43, 0, 3, 2, 3, 4]
        let body =
            [3, 3] + [UInt8](repeating: 7, count: 32) + counted([1, 2, 3], 1) + counted([0x13, 0x01], 2)
            + counted([0], 1) + counted(extensions, 2)
        let message = [1] + counted(body, 3)
        return stride(from: 0, to: message.count, by: perRecord).flatMap { start in
            [22, 3, 1] + counted(Array(message[start..<min(start + perRecord, message.count)]), 2)
        }
    }

    /// The output at both ends if these bytes arrive in pieces of a given size.
    private func pass(_ bytes: [UInt8], pieces: Int) throws -> (inwards: [UInt8], outwards: [UInt8]) {
        let channel = EmbeddedChannel(handler: ProtocolGuard.http1)
        var inwards: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            guard (try? channel.writeInbound(ByteBuffer(bytes: bytes[start..<min(start + pieces, bytes.count)]))) != nil
            else { break }
            while let part = try channel.readInbound(as: ByteBuffer.self) { inwards += part.readableBytesView }
        }
        var outwards: [UInt8] = []
        while let part = try channel.readOutbound(as: ByteBuffer.self) { outwards += part.readableBytesView }
        _ = try? channel.finish(acceptAlreadyClosed: true)
        return (inwards, outwards)
    }

    @Test(arguments: [1, 5, 7, 64, 10_000], [1, 3, 40, 16_384])
    func `that offers only other protocols gets the alert, however its bytes are split`(_ pieces: Int, _ record: Int)
        throws
    {
        for protocols in [["h2"], ["h2", "h3"], ["http/1.1x"], ["HTTP/1.1"]] {
            let (inwards, outwards) = try pass(hello(protocols, perRecord: record), pieces: pieces)
            #expect(inwards.isEmpty && outwards == [21, 3, 3, 0, 2, 2, 120])
        }
        for protocols in [["http/1.1"], ["h2", "http/1.1"], ["http/1.0"], nil] {
            let bytes = hello(protocols, perRecord: record)
            let (inwards, outwards) = try pass(bytes + [9, 9], pieces: pieces)
            #expect(inwards == bytes + [9, 9] && outwards.isEmpty)
        }
    }

    @Test func `that sends something else is passed on to the TLS handler`() throws {
        var bad = hello(["h2"])
        bad[0] = 23
        let extra: [UInt8] = Array("GET / HTTP/1.1\r\n\r\n".utf8)
        for bytes in [bad, extra, [22, 3, 1, 0, 0], [22, 3, 1, 0xFF, 0xFF, 1, 2], [21, 3, 3, 0, 2, 1, 0]] {
            #expect(try pass(bytes, pieces: 3).inwards == bytes)
        }
        // A hello that never ends is not buffered without limit.
        let endless = [22, 3, 1, 0x40, 0, 1, 0, 0x3F, 0] + [UInt8](repeating: 0, count: 40_000)
        #expect(try pass(endless, pieces: 1_000).inwards.count == endless.count)
    }
}
