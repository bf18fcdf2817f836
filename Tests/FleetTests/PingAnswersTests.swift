import NIOCore
import NIOEmbedded
import Testing

@testable import EtcdEngine

@Suite struct `Pings of etcd` {
    private static func frame(_ type: UInt8, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8]) -> [UInt8] {
        let length = UInt32(payload.count)
        let number = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: stream >> UInt32($0)) }
        return [UInt8(length >> 16 & 0xFF), UInt8(length >> 8 & 0xFF), UInt8(length & 0xFF), type, flags] + number
            + payload
    }

    @Test func `are answered, and everything else is passed on, wherever the bytes are cut`() throws {
        let question: [UInt8] = [2, 4, 16, 16, 9, 14, 7, 7]
        let others = [
            Self.frame(4, [0, 3, 0, 0, 0, 100]), Self.frame(0, stream: 1, Array(repeating: 6, count: 300)),
            // An answer to a ping of our own.
            Self.frame(6, flags: 1, question), Self.frame(8, [0, 0, 1, 0]),
        ]
        let all = others[0] + Self.frame(6, question) + others[1] + others[2] + Self.frame(6, question) + others[3]
        for cut in 1...all.count {
            let channel = EmbeddedChannel(handler: PingAnswers())
            var sent: [UInt8] = []
            for start in stride(from: 0, to: all.count, by: cut) {
                try channel.writeInbound(ByteBuffer(bytes: all[start..<min(start + cut, all.count)]))
            }
            var passed: [UInt8] = []
            while let piece = try channel.readInbound(as: ByteBuffer.self) { passed += piece.readableBytesView }
            while let piece = try channel.readOutbound(as: ByteBuffer.self) { sent += piece.readableBytesView }
            #expect(passed == others.flatMap(\.self), "in pieces of \(cut)")
            #expect(
                sent == Self.frame(6, flags: 1, question) + Self.frame(6, flags: 1, question), "in pieces of \(cut)")
            _ = try? channel.finish()
        }
    }
}
