import Foundation
public import NIOCore
import NIOPosix
import NIOSSL

/// Exchanges raw bytes with a listener: for requests that no HTTP client sends.
public enum RawConnection {
    /// Sends pieces, each after a response to the previous one, and reads until the server closes.
    /// - Parameters:
    ///   - address: `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`. The certificate is not verified.
    ///   - endsSending: whether the sending side closes after the last piece.
    public static func exchange(
        _ address: String, _ pieces: [[UInt8]], endsSending: Bool = false
    ) async throws -> [UInt8] {
        let channel = try await connect(address)
        return try await channel.executeThenClose { inbound, outbound in
            var received: [UInt8] = []
            var rest = pieces[...]
            var iterator = inbound.makeAsyncIterator()
            do {
                while let piece = rest.popFirst() {
                    try await outbound.write(ByteBuffer(bytes: piece))
                    guard !rest.isEmpty, let answer = try await iterator.next() else { continue }
                    received += answer.readableBytesView
                }
                if endsSending { outbound.finish() }
                while let answer = try await iterator.next() { received += answer.readableBytesView }
            } catch {
                // The server closed while we were sending. What it sent until then is the result.
            }
            return received
        }
    }

    /// Sends a piece and leaves the connection open. The caller closes it.
    /// - Parameter address: `http://HOST:PORT`.
    public static func begin(_ address: String, _ piece: [UInt8]) async throws -> any Channel {
        let port = Int(address.split(separator: ":").last ?? "") ?? 0
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connect(host: "127.0.0.1", port: port).get()
        try await channel.writeAndFlush(ByteBuffer(bytes: piece))
        return channel
    }

    private static func connect(_ address: String) async throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
        let isEncrypted = address.hasPrefix("https:")
        let bootstrap = ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelOption(.allowRemoteHalfClosure, value: true)
        @Sendable func wrap(_ channel: any Channel) -> EventLoopFuture<NIOAsyncChannel<ByteBuffer, ByteBuffer>> {
            channel.eventLoop.makeCompletedFuture {
                if isEncrypted {
                    var configuration = TLSConfiguration.makeClientConfiguration()
                    configuration.certificateVerification = .none
                    let context = try NIOSSLContext(configuration: configuration)
                    try channel.pipeline.syncOperations.addHandler(
                        NIOSSLClientHandler(context: context, serverHostname: nil))
                }
                return try NIOAsyncChannel(
                    wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
            }
        }
        if address.hasPrefix("unix:") {
            return try await bootstrap.connect(
                unixDomainSocketPath: String(address.dropFirst(5)), channelInitializer: wrap)
        }
        let port = Int(address.split(separator: ":").last ?? "") ?? 0
        return try await bootstrap.connect(host: "127.0.0.1", port: port, channelInitializer: wrap)
    }
}

/// One HTTP response of a connection.
public struct RawAnswer: Sendable, Equatable {
    public let status: Int
    public let head: String
    public let body: [UInt8]

    public struct Malformed: Error {
        public let rest: String
    }

    /// The value of a field; nil unless there is exactly one.
    public subscript(name: String) -> String? {
        let values = head.components(separatedBy: "\r\n").dropFirst().compactMap { line -> String? in
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == name.lowercased() else { return nil }
            return parts[1].trimmingCharacters(in: .whitespaces)
        }
        return values.count == 1 ? values[0] : nil
    }

    /// Parses consecutive responses. Throws if anything is left over.
    /// - Parameter heads: the indices of responses to HEAD.
    public static func all(in bytes: [UInt8], heads: Set<Int> = []) throws -> [RawAnswer] {
        var answers: [RawAnswer] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let malformed = Malformed(rest: String(decoding: rest.prefix(200), as: UTF8.self))
            guard let end = rest.firstRange(of: Array("\r\n\r\n".utf8)) else { throw malformed }
            let head = String(decoding: rest[..<end.lowerBound], as: UTF8.self)
            let words = head.split(separator: " ", maxSplits: 2)
            guard words.count >= 2, words[0] == "HTTP/1.1", let status = Int(words[1]) else { throw malformed }
            rest = rest[end.upperBound...]
            var answer = RawAnswer(status: status, head: head, body: [])
            if status >= 200, status != 204, !heads.contains(answers.count(where: { $0.status >= 200 })) {
                guard let length = answer["Content-Length"].flatMap({ Int($0) }), length <= rest.count else {
                    throw malformed
                }
                answer = RawAnswer(status: status, head: head, body: Array(rest.prefix(length)))
                rest = rest.dropFirst(length)
            }
            answers.append(answer)
        }
        return answers
    }
}
