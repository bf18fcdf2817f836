@testable import ControlPlane
import ControlPlaneFixture
import Foundation
import HTTPTypes
import Logging
import NIOCore
import NIOEmbedded
import NIOHTTPTypes
import Testing

/// A connection of the control plane without a socket. The test advances its clock.
private struct Conversation {
    let channel: EmbeddedChannel
    let limit: ConnectionLimit

    init(
        limit: ConnectionLimit = ConnectionLimit(connectionsMax: 8, listener: "test", logger: Logger(label: "test")),
        behind slowClient: SlowClient? = nil
    ) throws {
        self.limit = limit
        channel = EmbeddedChannel()
        _ = limit.admit(channel, now: channel.eventLoop.now)
        if let slowClient { try channel.pipeline.syncOperations.addHandler(slowClient) }
        try channel.pipeline.syncOperations.addHandler(RequestConnection(isEncrypted: false, limit: limit))
        try channel.connect(to: try SocketAddress(unixDomainSocketPath: "/x")).wait()
    }

    func send(_ text: String) throws { try channel.writeInbound(ByteBuffer(string: text)) }

    func pass(seconds: Int64) { channel.embeddedEventLoop.advanceTime(by: .seconds(seconds)) }

    /// The parts that were forwarded to the routes.
    func parts() throws -> [HTTPRequestPart] {
        var parts: [HTTPRequestPart] = []
        while let part = try channel.readInbound(as: HTTPRequestPart.self) { parts.append(part) }
        return parts
    }

    /// What was sent to the client.
    func sent() throws -> String {
        var text = ""
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
        return text
    }

    func answer(_ status: HTTPResponse.Status = .ok, _ body: String = "", fields: HTTPFields = [:]) throws {
        var head = HTTPResponse(status: status, headerFields: fields)
        if fields.isEmpty { head.headerFields[.contentLength] = String(body.utf8.count) }
        try channel.writeOutbound(HTTPResponsePart.head(head))
        if !body.isEmpty { try channel.writeOutbound(HTTPResponsePart.body(ByteBuffer(string: body))) }
        try channel.writeOutbound(HTTPResponsePart.end(nil))
        channel.embeddedEventLoop.run()
    }

    var hasIncompleteBody: Bool {
        do {
            try channel.throwIfErrorCaught()
            return false
        } catch {
            return error is RequestConnection.IncompleteBody
        }
    }
}

/// A client that accepts the writes one by one.
private final class SlowClient: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private(set) var pendingWrites: [EventLoopPromise<Void>?] = []

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        pendingWrites.append(promise)
    }

    func acceptOne() { pendingWrites.removeFirst()?.succeed() }
}

private let post = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n"
private let get = "GET /x?y HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c\r\nX-A: b\r\n\r\n"

@Suite struct `A connection of the control plane` {
    @Test func `ends at the deadline of its head, even if bytes keep arriving`() throws {
        let client = try Conversation()
        for byte in "GET /" {
            try client.send(String(byte))
            client.pass(seconds: 1)
            #expect(try client.sent().isEmpty)
        }
        // Five seconds from the first byte.
        client.pass(seconds: 1)
        #expect(try client.sent().hasPrefix("HTTP/1.1 408 ") && client.parts().isEmpty)
        client.pass(seconds: 3)
        #expect(!client.channel.isActive)
    }

    @Test func `answers a late head and a late body with 408 and closes`() throws {
        for text in ["GET /x HTTP/1.1\r\nHo", post + "a"] {
            let client = try Conversation()
            try client.send(text)
            client.pass(seconds: text == post + "a" ? 10 : 5)
            #expect(try client.sent().isEmpty)
            client.pass(seconds: 1)
            let answer = try client.sent()
            #expect(answer.hasPrefix("HTTP/1.1 408 ") && answer.contains("\r\nConnection: close\r\n"))
            #expect(client.hasIncompleteBody == text.hasPrefix("POST"))
            client.pass(seconds: 3)
            #expect(!client.channel.isActive)
        }
    }

    @Test func `that sends nothing ends, sooner before the first request than between requests`() throws {
        let fresh = try Conversation()
        fresh.pass(seconds: 10)
        #expect(fresh.channel.isActive)
        fresh.pass(seconds: 1)
        #expect(!fresh.channel.isActive)
        let idle = try Conversation()
        try idle.send(get)
        try idle.answer()
        idle.pass(seconds: 120)
        #expect(idle.channel.isActive)
        idle.pass(seconds: 1)
        #expect(!idle.channel.isActive)
    }

    @Test func `whose client does not read its response ends`() throws {
        let client = try Conversation()
        try client.send(get)
        // Written but never flushed: no byte is sent.
        client.channel.write(HTTPResponsePart.head(HTTPResponse(status: .ok)), promise: nil)
        client.pass(seconds: 10)
        #expect(client.channel.isActive)
        client.pass(seconds: 1)
        #expect(!client.channel.isActive)
    }

    @Test func `waits for a response without a deadline`() throws {
        let client = try Conversation()
        try client.send(get)
        client.pass(seconds: 3_600)
        #expect(client.channel.isActive)
        try client.answer(.ok, "hello")
        #expect(try client.sent() == "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    }

    @Test func `forwards the head without the fields that concern the connection`() throws {
        let client = try Conversation()
        try client.send(get)
        let parts = try client.parts()
        #expect(parts.count == 2 && parts.last == .end(nil))
        let first = parts.first.flatMap { part -> HTTPRequest? in if case .head(let head) = part { head } else { nil } }
        let head = try #require(first)
        #expect(head.method == .get && head.path == "/x?y" && head.authority == "a")
        #expect(head.headerFields.map(\.name.canonicalName) == ["x-a"])
    }

    @Test func `processes one request after the other, even if they arrive at once`() throws {
        let client = try Conversation()
        try client.send(get + get + get)
        for _ in 0..<3 {
            #expect(try client.parts().count == 2)
            try client.answer(.ok, "a")
        }
        #expect(try client.parts().isEmpty)
        #expect(try client.sent().components(separatedBy: "HTTP/1.1 200 OK").count == 4)
    }

    @Test func `never forwards an incomplete body as a whole one`() throws {
        for end in ["input", "all", "evicted"] {
            let client = try Conversation()
            try client.send(post + "ab")
            switch end {
            case "input": client.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            case "all": client.channel.pipeline.fireChannelInactive()
            default: client.channel.pipeline.fireUserInboundEventTriggered(ConnectionLimit.Eviction())
            }
            #expect(client.hasIncompleteBody, "\(end)")
            #expect(try !client.parts().contains(.end(nil)), "\(end)")
        }
    }

    @Test func `continues after a response that was sent before the body had arrived`() throws {
        let client = try Conversation()
        try client.send(post + "ab")
        try client.answer(.unauthorized)
        #expect(try client.sent() == "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        // The rest of the body is read and dropped; what follows is a request.
        try client.send(String(repeating: "c", count: 18) + get)
        let parts = try client.parts()
        #expect(parts.count == 5 && parts[1] == .body(ByteBuffer(string: "ab")) && parts[2] == .end(nil))
        try client.answer(.ok, "a")
        #expect(try client.sent().hasPrefix("HTTP/1.1 200 OK"))
        // But only until the deadline.
        let slow = try Conversation()
        try slow.send(post + "ab")
        try slow.answer(.unauthorized)
        slow.pass(seconds: 10)
        #expect(slow.channel.isActive)
        slow.pass(seconds: 1)
        #expect(!slow.channel.isActive && !slow.hasIncompleteBody)
    }

    @Test func `sends 100 Continue when the routes want the body, once, and not after a part of it has arrived`() throws
    {
        let expecting = post.replacing("Host: a", with: "Host: a\r\nExpect: 100-continue")
        let client = try Conversation()
        try client.send(expecting)
        #expect(try client.sent().isEmpty && client.parts().count == 1)
        for asked in ["HTTP/1.1 100 Continue\r\n\r\n", ""] {
            try client.channel.triggerUserOutboundEvent(RequestConnection.BodyWanted()).wait()
            #expect(try client.sent() == asked)
        }
        try client.send(String(repeating: "c", count: 20) + get)
        try client.answer(.ok, "ok")
        #expect(try client.sent() == "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        // The request behind it is answered too.
        try client.answer(.ok, "ok")
        #expect(try client.sent().hasPrefix("HTTP/1.1 200 OK"))

        for text in [expecting + "c", post] {
            let impatient = try Conversation()
            try impatient.send(text)
            try impatient.channel.triggerUserOutboundEvent(RequestConnection.BodyWanted()).wait()
            #expect(try impatient.sent().isEmpty)
        }
    }

    /// What such a client sends next may be its body or a request: the two cannot be told apart.
    @Test func `ends after refusing a request whose body was not requested`() throws {
        let client = try Conversation()
        try client.send(post.replacing("Host: a", with: "Host: a\r\nExpect: 100-continue"))
        #expect(try client.parts().count == 1)
        try client.answer(.unauthorized)
        #expect(
            try client.sent() == "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        try client.send(get)
        #expect(try client.parts().isEmpty && client.sent().isEmpty && !client.hasIncompleteBody)
        client.pass(seconds: 3)
        #expect(!client.channel.isActive)
    }

    @Test func `frames responses by version and method`() throws {
        for (request, answer) in [
            ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
            ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
            (
                "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
            ),
        ] {
            let client = try Conversation()
            try client.send(request)
            try client.answer(.ok, "ok")
            #expect(try client.sent() == answer)
        }
        // Unknown length: chunks, or in HTTP/1.0 the end of the connection.
        for (version, end) in [
            ("1.1", "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), ("1.0", "Connection: close\r\n\r\nok"),
        ] {
            let client = try Conversation()
            try client.send("GET / HTTP/\(version)\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            try client.answer(.ok, "ok", fields: [.server: "x"])
            #expect(try client.sent() == "HTTP/1.1 200 OK\r\nServer: x\r\n" + end)
        }
        let client = try Conversation()
        try client.send(get)
        try client.answer(.noContent, "never sent")
        #expect(try client.sent() == "HTTP/1.1 204 No Content\r\n\r\n")
    }

    @Test func `sends one more response when the service shuts down, and closes`() throws {
        let client = try Conversation()
        try client.send(get)
        client.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        #expect(client.channel.isActive)
        try client.answer(.ok, "ok")
        #expect(try client.sent().contains("Connection: close"))
        let idle = try Conversation()
        idle.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        idle.pass(seconds: 3)
        #expect(!idle.channel.isActive)
    }
}

@Suite struct `A listener whose connections are all taken` {
    private func limit(_ count: Int) -> ConnectionLimit {
        ConnectionLimit(
            connectionsMax: count, listener: "test", logger: Logger(label: "t") { _ in SwiftLogNoOpLogHandler() })
    }

    @Test func `evicts one of the most common activity: a head before an idle one before a body, and never an answer`()
        throws
    {
        let limit = limit(4)
        let answering = try Conversation(limit: limit)
        try answering.send(get)
        let body = try Conversation(limit: limit)
        try body.send(post + "a")
        let idle = try Conversation(limit: limit)
        try idle.send(get)
        try idle.answer()
        let head = try Conversation(limit: limit)
        try head.send("GET /")
        #expect(limit.count == 4)
        // Each newcomer sends a whole request, and so is never evicted.
        for victim in [head, idle, body] {
            #expect(victim.channel.isActive)
            let newcomer = try Conversation(limit: limit)
            try newcomer.send(get)
            #expect(!victim.channel.isActive && answering.channel.isActive && limit.count == 4)
        }
        let refused = EmbeddedChannel()
        #expect(!limit.admit(refused, now: refused.eventLoop.now))
        #expect(limit.count == 4)
        try answering.answer()
        #expect(try answering.sent().hasPrefix("HTTP/1.1 200"))
    }

    @Test func `evicts one that reads its response too slowly, even if it keeps reading`() throws {
        let limit = limit(1)
        let slowClient = SlowClient()
        let slow = try Conversation(limit: limit, behind: slowClient)
        try slow.send(get)
        var head = HTTPResponse(status: .ok)
        head.headerFields[.contentLength] = "1000000"
        slow.channel.writeAndFlush(HTTPResponsePart.head(head), promise: nil)
        for _ in 0..<20 {
            slow.channel.writeAndFlush(HTTPResponsePart.body(ByteBuffer(repeating: 0, count: 1_000)), promise: nil)
        }
        #expect(slowClient.pendingWrites.count > 8)
        for _ in 0..<5 {
            #expect(!limit.admit(EmbeddedChannel(), now: .uptimeNanoseconds(1)))
            slow.pass(seconds: 1)
            slowClient.acceptOne()
        }
        slow.pass(seconds: 1)
        #expect(limit.admit(EmbeddedChannel(), now: .uptimeNanoseconds(1)) && !slow.channel.isActive)
    }

    @Test func `keeps one that has read everything`() throws {
        let limit = limit(1)
        let slowClient = SlowClient()
        let client = try Conversation(limit: limit, behind: slowClient)
        try client.send(get)
        client.channel.writeAndFlush(HTTPResponsePart.head(HTTPResponse(status: .ok)), promise: nil)
        client.channel.writeAndFlush(HTTPResponsePart.body(ByteBuffer(string: "a")), promise: nil)
        client.pass(seconds: 6)
        while !slowClient.pendingWrites.isEmpty { slowClient.acceptOne() }
        #expect(!limit.admit(EmbeddedChannel(), now: .uptimeNanoseconds(1)) && client.channel.isActive)
    }

    @Test func `names the listener in the log, and whether it evicts or refuses`() throws {
        let lines = RoutingTests.LogLines()
        let limit = ConnectionLimit(
            connectionsMax: 1, listener: "https://127.0.0.1:1",
            logger: Logger(label: "test", factory: { _ in lines.handler }))
        #expect(limit.admit(EmbeddedChannel(), now: .uptimeNanoseconds(1)) && lines.text.isEmpty)
        let second = EmbeddedChannel()
        #expect(limit.admit(second, now: .uptimeNanoseconds(2)))
        limit.set(.answering, of: second, since: .uptimeNanoseconds(3))
        for time in UInt64(4)...5 { #expect(!limit.admit(EmbeddedChannel(), now: .uptimeNanoseconds(time))) }
        // One line for each, although both came within a minute.
        let logged = lines.text.split(separator: "\n")
        #expect(logged.count == 2 && logged.allSatisfy { $0.hasPrefix("warning") }, "\(logged)")
        #expect(logged.allSatisfy { $0.contains("https://127.0.0.1:1") }, "\(logged)")
        #expect(logged.first?.contains("closing the oldest") == true, "\(logged)")
        #expect(logged.last?.contains("closing new ones") == true, "\(logged)")
    }

    @Test func `evicts the older of two unfinished heads`() throws {
        let limit = limit(2)
        let older = EmbeddedChannel()
        let newer = EmbeddedChannel()
        #expect(limit.admit(older, now: .uptimeNanoseconds(1)))
        #expect(limit.admit(newer, now: .uptimeNanoseconds(2)))
        _ = try Conversation(limit: limit)
        #expect(limit.count == 2)
        limit.set(.idle, of: older, since: .uptimeNanoseconds(3))
        // The older one was evicted and is unknown now.
        #expect(limit.admit(older, now: .uptimeNanoseconds(4)) && limit.count == 2)
    }

    @Test func `evicts the oldest of a flood of bodies, and not a new connection`() throws {
        let limit = limit(4)
        let bodies = try (0..<3).map { _ in try Conversation(limit: limit) }
        for body in bodies { try body.send(post + "a") }
        let good = try Conversation(limit: limit)
        let newer = try Conversation(limit: limit)
        try newer.send(post + "a")
        #expect(bodies.count { $0.channel.isActive } == 2)
        _ = try Conversation(limit: limit)
        #expect((bodies + [newer]).count { $0.channel.isActive } == 2)
        try good.send(get)
        try good.answer()
        #expect(try good.sent().hasPrefix("HTTP/1.1 200"))
    }

    @Test func `answers honest clients during a flood of unfinished heads`() async throws {
        try await OAuthFixture.serve(connectionsMax: 16) { server in
            let address = "http://127.0.0.1:\(server.port)"
            // Not all at once: a loaded machine may accept sixteen before it reads the request of an honest client.
            var flood: [any Channel] = []
            for _ in 0..<32 { flood.append(try await RawConnection.begin(address, Array("GET /oauth2/a".utf8))) }
            for channel in flood[..<16] { try await channel.closeFuture.get() }
            for _ in 0..<20 {
                flood.append(try await RawConnection.begin(address, Array("GET /oauth2/a".utf8)))
                let get =
                    "GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                let answer = try await RawConnection.exchange(address, [Array(get.utf8)])
                #expect(try RawAnswer.all(in: answer).map(\.status) == [200])
                #expect(try await server.control.get("/livez").status == 200)
            }
            for channel in flood { channel.close(promise: nil) }
        }
    }
}
