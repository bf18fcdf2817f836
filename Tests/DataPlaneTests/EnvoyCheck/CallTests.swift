import DataPlane
import EnvoyAuthorizationMessages
import ForwardAuth
import Foundation
import GRPCCore
import Issuance
import NIOHPACK
import NIOHTTP2
import SwiftProtobuf
import TestSupport
import Testing

/// What is accepted of gRPC and HTTP/2, and the limits of one client.
@Suite(.timeLimit(.minutes(10))) struct `A call` {
    private func withFrames(
        settings: @escaping (inout DataPlaneSettings) -> Void = { _ in },
        _ body: (RunningServer, FrameClient, [UInt8]) async throws -> Void
    ) async throws {
        try await withChecks([Policy(name: "any", rule: PolicyRule())], settings: settings) { server, _ in
            let key = try await server.key().secret
            let message: [UInt8] = try check("/x", ["authorization": "ApiKey \(key)"]).serializedBytes()
            try await body(server, try await FrameClient.connect(server.addresses[0]), message)
        }
    }

    private func answer(_ client: FrameClient, _ id: Int) async throws -> CheckResponse {
        #expect(await client.nextHead()?.first(name: ":status") == "200")
        guard case .data(let body) = await client.next()?.payload, case .byteBuffer(let bytes) = body.data else {
            throw FrameMissing()
        }
        let message = Array(bytes.readableBytesView)
        #expect(Array(message[..<5]) == Array(framed(Array(message[5...]))[..<5]))
        #expect(await client.nextHead()?.first(name: "grpc-status") == "0")
        return try CheckResponse(serializedBytes: Array(message[5...]))
    }

    private struct FrameMissing: Error {}

    @Test func `is answered however its bytes are split`() async throws {
        try await withFrames { _, client, message in
            let bytes = framed(message)
            try await client.send(1, .head(FrameClient.head()), .bytes(bytes))
            #expect(try await answer(client, 1).passes)
            try await client.send(3, .head(FrameClient.head()))
            for byte in bytes { try await client.send(3, .bytes([byte], ends: false)) }
            try await client.send(3, .bytes([]))
            #expect(try await answer(client, 3).passes)
            // Trailers end it too.
            try await client.send(
                5, .head(FrameClient.head()), .bytes(bytes, ends: false), .head(["a": "b"], ends: true))
            #expect(try await answer(client, 5).passes)
        }
    }

    @Test func `that is invalid is refused with a reason, and the connection stays open`() async throws {
        try await withFrames { _, client, message in
            let bytes = framed(message)
            let cases: [(HPACKHeaders, [UInt8], String)] = [
                (FrameClient.head([":path": "/grpc.health.v1.Health/Watch"]), bytes, "12"),
                (FrameClient.head([":path": "/oauth2/introspect"]), bytes, "12"),
                (FrameClient.head(["grpc-encoding": "gzip"]), bytes, "12"),
                (FrameClient.head(["grpc-encoding": "identity"]), bytes, "0"),
                (FrameClient.head(), framed(message, flag: 1), "13"),
                (FrameClient.head(), framed(message, flag: 9), "13"),
                (FrameClient.head(), bytes + bytes, "13"), (FrameClient.head(), Array(bytes.dropLast()), "13"),
                (FrameClient.head(), [], "13"), (FrameClient.head(), [0, 0], "13"),
                (FrameClient.head(), framed([0xFF, 0xFF]), "3"),
                // A message without a policy is denied, which is a response.
                (FrameClient.head(), framed([]), "0"),
                (FrameClient.head(), framed([UInt8](repeating: 0, count: 60_000)), "3"),
            ]
            var id = 1
            for (head, bytes, status) in cases {
                try await client.send(id, .head(head))
                // Refused by its headers, it ends before its message is sent.
                try? await client.send(id, .bytes(bytes))
                var fields = await client.nextHead()
                if fields?.first(name: "grpc-status") == nil { fields = await client.nextHead() }
                #expect(fields?.first(name: "grpc-status") == status)
                #expect(status == "0" || fields?.first(name: "grpc-message")?.isEmpty == false)
                id += 2
            }
            for (name, value, status) in [("content-type", "application/json", "415"), (":method", "GET", "405")] {
                try await client.send(id, .head(FrameClient.head([name: value])))
                try? await client.send(id, .bytes(bytes))
                #expect(await client.nextHead()?.first(name: ":status") == status)
                id += 2
            }
            try await client.send(id, .head(FrameClient.head()), .bytes(bytes))
            var last = await client.nextHead()
            while let fields = last, fields.first(name: "grpc-status") == nil { last = await client.nextHead() }
            #expect(last?.first(name: "grpc-status") == "0")
        }
    }

    @Test func `that is too large is refused before it is complete`() async throws {
        try await withFrames { _, client, message in
            for (id, length) in [(1, 4_194_304 + 65_537), (3, 0xFFFF_FFFF)] {
                try await client.send(
                    id, .head(FrameClient.head()), .bytes(framed([1, 2, 3], length: length), ends: false))
                // Denied and not an error, which Envoy may be configured to allow.
                let denied = try await answer(client, id)
                #expect(denied.status.code == 7 && denied.deniedResponse.status.code.rawValue == 413)
                // The client need not send the rest.
                guard case .rstStream(.noError) = await client.next()?.payload else { throw FrameMissing() }
            }
            try await client.send(5, .head(FrameClient.head()), .bytes(framed(message)))
            #expect(try await answer(client, 5).passes)
        }
    }

    @Test func `may include the request body, up to 4 MiB, which is ignored`() async throws {
        try await withFrames { server, client, message in
            let bytes = framed(message + body(4_194_304))
            for id in [1, 3] {
                client.sendAtOnce([(id, .head(FrameClient.head()))] + pieces(bytes, ends: true).map { (id, $0) })
                let passes = try await answer(client, id).passes
                #expect(passes)
            }
            #expect(server.server.figures.bufferedBytes == 0)
        }
    }

    @Test func `for health is answered by readiness, for the server and for its one service`() async throws {
        try await withFrames { server, client, _ in
            let head = FrameClient.head([":path": "/grpc.health.v1.Health/Check"])
            func ask(_ id: Int, _ service: String) async throws -> (message: [UInt8]?, status: String?) {
                let request = service.isEmpty ? [] : [0x0A, UInt8(service.utf8.count)] + Array(service.utf8)
                try await client.send(id, .head(head), .bytes(framed(request)))
                var message: [UInt8]?
                while let frame = await client.next() {
                    switch frame.payload {
                    case .data(let body):
                        if case .byteBuffer(let bytes) = body.data { message = Array(bytes.readableBytesView) }
                    case .headers(let head):
                        if let status = head.headers.first(name: "grpc-status") { return (message, status) }
                    default: break
                    }
                }
                throw FrameMissing()
            }
            let service = "envoy.service.auth.v3.Authorization"
            let (whole, one, other) = (try await ask(1, ""), try await ask(3, service), try await ask(5, "other"))
            #expect(whole == (framed([8, 1]), "0") && one == (framed([8, 1]), "0") && other == (nil, "5"))
            server.readiness.become(.draining)
            let late = try await ask(7, "")
            #expect(late == (framed([8, 2]), "0"))
        }
    }

    @Test func `that exceeds the limit together with others fails, and frees its memory`() async throws {
        try await withFrames(settings: { ($0.bufferBytesMax, $0.bodySeconds) = (4 << 20, 600) }) {
            server, client, message in
            let begun = framed([UInt8](repeating: 0, count: 900_000), length: 1_000_000)
            for id in stride(from: 1, to: 21, by: 2) {
                client.sendAtOnce([(id, .head(FrameClient.head()))] + pieces(begun, ends: false).map { (id, $0) })
            }
            let statuses = await client.statuses(3)
            #expect(statuses.values.allSatisfy { $0 == "14" })
            #expect(server.server.figures.bufferedBytes <= 4 << 20)
            try await client.close()
            #expect(try await eventually { server.server.figures.bufferedBytes == 0 })
        }
    }

    /// Messages of 64 KiB, one after the other: if the window were not replenished, the fourth would use it up.
    @Test func `may be followed by any number of others`() async throws {
        try await withFrames { server, client, message in
            var large = try CheckRequest(serializedBytes: message)
            large.attributes.request.http.headers["x"] = String(repeating: "a", count: 60_000)
            let bytes: [UInt8] = framed(try large.serializedBytes())
            for id in stride(from: 1, to: 61, by: 2) {
                try await client.send(id, .head(FrameClient.head()))
                for start in stride(from: 0, to: bytes.count, by: 16_000) {
                    let end = min(start + 16_000, bytes.count)
                    try await client.send(id, .bytes(Array(bytes[start..<end]), ends: end == bytes.count))
                }
                #expect(try await answer(client, id).passes)
            }
        }
    }

    /// `attributes.request.http.body`, which the messages for tests do not have; a field of a message may come in
    /// several parts.
    private func body(_ count: Int) -> [UInt8] {
        ([0x5A, 0x12, 0x22, 0x0A] as [UInt8]).reduce([UInt8](repeating: 0x78, count: count)) { content, tag in
            var length: [UInt8] = []
            var left = content.count
            while left > 0x7F {
                length.append(UInt8(left & 0x7F) | 0x80)
                left >>= 7
            }
            return [tag] + length + [UInt8(left)] + content
        }
    }

    private func pieces(_ bytes: [UInt8], ends: Bool) -> [HTTP2Frame.FramePayload] {
        stride(from: 0, to: bytes.count, by: 16_000).map { start in
            let end = min(start + 16_000, bytes.count)
            return .bytes(Array(bytes[start..<end]), ends: ends && end == bytes.count)
        }
    }

    /// The client gets the refusal when everything is in flight; the data that NIOHTTP2 then skips has used the window
    /// too.
    @Test func `whose rest is in flight when it is refused does not affect the others`() async throws {
        try await withFrames { _, client, message in
            let tooLarge = framed([UInt8](repeating: 0, count: 70_000), length: 5_000_000)
            for id in stride(from: 1, to: 33, by: 2) {
                client.sendAtOnce([(id, .head(FrameClient.head()))] + pieces(tooLarge, ends: true).map { (id, $0) })
            }
            try await client.send(33, .head(FrameClient.head()), .bytes(framed(message)))
            let statuses = await client.statuses(17)
            #expect(statuses.count == 17 && statuses.values.allSatisfy { $0 == "0" })
        }
    }

    /// None of them is complete when more than the bytes of a window have arrived.
    @Test func `completes however its pieces are interleaved with others, up to a limit`() async throws {
        try await withFrames { _, client, message in
            var large = try CheckRequest(serializedBytes: message)
            large.attributes.request.http.headers["x"] = String(repeating: "a", count: 60_000)
            let usual = pieces(framed(try large.serializedBytes()), ends: true)
            let parts = pieces(framed(message + body(500_000)), ends: true)
            func send(_ count: Int, from first: Int, _ parts: [HTTP2Frame.FramePayload]) {
                let ids = (0..<count).map { first + 2 * $0 }
                client.sendAtOnce(ids.map { ($0, .head(FrameClient.head())) })
                for part in parts { client.sendAtOnce(ids.map { ($0, part) }) }
            }
            send(20, from: 1, usual)
            let statuses = await client.statuses(20)
            #expect(statuses.count == 20 && statuses.values.allSatisfy { $0 == "0" })
            send(40, from: 101, parts)
            let more = await client.statuses(40)
            #expect(more.values.contains("14") && more.values.contains("0"))
            try await client.send(301, .head(FrameClient.head()), .bytes(framed(message)))
            #expect(await client.statuses(1)[301] == "0")
        }
    }

    /// An error of one call ends only that call.
    @Test func `with a wrong length leaves the connection to the others`() async throws {
        try await withFrames { server, _, message in
            let client = try await RawFrames.connect(server.addresses[0])
            try await client.call(1, FrameClient.head(["content-length": "3"], adding: true), framed(message))
            try await client.call(3, FrameClient.head(), framed(message))
            #expect(try await client.ending(of: 3) == true)
        }
    }

    @Test func `is one of at most a hundred at once`() async throws {
        try await withFrames { server, client, message in
            #expect(await client.settings().first { $0.parameter == .maxConcurrentStreams }?.value == 100)
            for id in stride(from: 1, to: 201, by: 2) { try await client.send(id, .head(FrameClient.head())) }
            for id in stride(from: 1, to: 201, by: 2) { try await client.send(id, .bytes(framed(message))) }
            var answered = 0
            while answered < 100, let fields = await client.nextHead() {
                if let status = fields.first(name: "grpc-status") {
                    #expect(status == "0")
                    answered += 1
                }
            }
            #expect(answered == 100)
        }
    }

    @Test func `that does not complete is ended`() async throws {
        try await withFrames(settings: { $0.bodySeconds = 1 }) { server, client, message in
            try await client.send(1, .head(FrameClient.head()), .bytes(Array(framed(message)[..<9]), ends: false))
            guard case .rstStream(let code) = await client.next()?.payload else { throw FrameMissing() }
            #expect(code == .cancel)
            try await client.send(3, .head(FrameClient.head()), .bytes(framed(message)))
            #expect(try await answer(client, 3).passes)
        }
    }

    @Test func `has a deadline`() async throws {
        try await withFrames(settings: { $0.idleSeconds = 1 }) { server, client, message in
            try await client.send(1, .head(FrameClient.head()), .bytes(framed(message)))
            #expect(try await answer(client, 1).passes)
            guard case .goAway(let last, let code, _) = await client.next()?.payload else { throw FrameMissing() }
            #expect(last == 1 && code == .noError)
            #expect(await client.next() == nil)
        }
        try await withFrames(settings: { $0.freshSeconds = 1 }) { server, client, _ in
            while let frame = await client.next() { guard case .goAway = frame.payload else { throw FrameMissing() } }
        }
    }

    @Test func `that its client cancels is removed`() async throws {
        try await withFrames { server, client, message in
            let begun = Array(framed(message)[..<9])
            for id in stride(from: 1, to: 401, by: 2) {
                try await client.send(id, .head(FrameClient.head()), .bytes(begun, ends: false), .rstStream(.cancel))
            }
            try await client.send(401, .head(FrameClient.head()), .bytes(framed(message)))
            #expect(try await answer(client, 401).passes)
        }
    }

    @Test func `that is not HTTP/2 closes the connection`() async throws {
        try await withFrames { server, _, _ in
            let path = server.addresses[0].dropFirst("grpc+".count)
            let client = try await WireClient.connect(String(path), tls: nil, reads: true)
            try await client.send("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try await eventually { !client.channel.isActive })
            #expect(try await eventually { server.server.figures.connections == 2 })
        }
    }
}
