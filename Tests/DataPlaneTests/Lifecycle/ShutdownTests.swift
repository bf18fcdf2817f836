import DataPlane
import Foundation
import Issuance
import Listening
import NIOPosix
import ServiceLifecycle
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct `A graceful shutdown` {
    /// Runs a server in a service group, as the daemon does.
    private func withService(
        _ listener: String = "http://127.0.0.1:0", drainSeconds: Int64 = 20,
        _ body: (RunningServer, ServiceGroup, Task<Void, any Error>) async throws -> Void
    ) async throws {
        try await Berths.occupy { try await serve(listener, drainSeconds, body) }
    }

    private func serve(
        _ listener: String, _ drainSeconds: Int64,
        _ body: (RunningServer, ServiceGroup, Task<Void, any Error>) async throws -> Void
    ) async throws {
        let fixture = try Fixture()
        var settings = DataPlaneSettings.patient
        settings.drainSeconds = drainSeconds
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let readiness = ServiceStatus()
        let (started, continuation) = AsyncStream<[String]>.makeStream()
        let server = try DataPlaneServer(
            store: fixture.store, settings: settings, listeners: [ListenerAddress(listener)], health: nil,
            identity: nil,
            group: group, readiness: readiness, logger: quiet
        ) { continuation.yield($0) }
        let services = ServiceGroup(configuration: .init(services: [.init(service: server)], logger: quiet))
        let running = Task {
            defer { continuation.finish() }
            try await services.run()
        }
        let addresses = try #require(await started.first { _ in true })
        readiness.become(.ready)
        do {
            try await body(
                RunningServer(fixture: fixture, server: server, readiness: readiness, addresses: addresses), services,
                running)
            await services.triggerGracefulShutdown()
            try await running.value
            try await group.shutdownGracefully()
        } catch {
            running.cancel()
            try? await running.value
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private func drains(_ server: RunningServer) async throws -> Bool {
        try await eventually { server.readiness.current == .draining }
    }

    @Test func `is reported by the probe, and pending requests are answered with close`() async throws {
        try await withService { server, services, running in
            let key = try await server.key().secret
            var probe = try await server.connect()
            let kept = try await server.connect()
            #expect(try await probe.ask(request("GET /readyz")).status == 200)
            #expect(try await kept.ask(verification("", apiKey(key)))["Connection"] == nil)
            // Pending requests: all but their last byte has arrived.
            let parts = [request("GET /readyz"), verification("", apiKey(key)), introspection("token=x")]
            var clients: [WireClient] = []
            for part in parts {
                let client = try await server.connect()
                #expect(try await client.ask(request("GET /livez")).status == 200)
                try await client.send(String(part.dropLast(1)))
                clients.append(client)
            }
            // When a later request is answered, each has been read.
            for _ in clients { #expect(try await kept.ask(request("GET /livez")).status == 200) }
            await services.triggerGracefulShutdown()
            #expect(try await drains(server))
            #expect(try await kept.rest().isEmpty)
            for (index, expected) in [(0, 503), (1, 200), (2, 401)] {
                let answer = try await clients[index].ask(String(parts[index].suffix(1)))
                #expect(answer.status == expected && answer["Connection"] == "close")
                #expect(try await clients[index].rest().isEmpty)
            }
            try await running.value
            // The listener is closed.
            await #expect(throws: (any Error).self) { probe = try await server.connect() }
        }
    }

    @Test func `ends when all requests are answered, long before its deadline`() async throws {
        try await withService(drainSeconds: 3_600) { server, services, running in
            let idle = try await server.connect()
            let busy = try await server.connect()
            #expect(try await idle.ask(request("GET /livez")).status == 200)
            #expect(try await busy.ask(request("GET /livez")).status == 200)
            await services.triggerGracefulShutdown()
            try await running.value
            #expect(try await idle.rest().isEmpty)
            #expect(try await busy.rest().isEmpty)
        }
    }

    @Test func `answers waiting polls and ends streams, long before its deadline`() async throws {
        try await withService(drainSeconds: 3_600) { server, services, running in
            let caller = try await server.follower()
            let poll = try await server.connect()
            let end = try await server.end(poll, caller)
            try await poll.send(changes("?after=\(end)&wait=60", caller.authorization))
            let stream = try await EventStream(
                try await server.connect(), changes("", caller.authorization, "Accept: text/event-stream"))
            #expect(try await stream.next().name == "begin")
            await services.triggerGracefulShutdown()
            let answer = try await poll.answer()
            #expect(try answer.changes().isEmpty && answer.next() == end && answer["Connection"] == "close")
            #expect(try await poll.rest().isEmpty)
            await #expect(throws: WireClient.Closed.self) { _ = try await stream.next() }
            try await running.value
        }
    }

    @Test func `does not wait for a request that is never complete`() async throws {
        try await withService(drainSeconds: 1) { server, services, running in
            let stuck = try await server.connect()
            try await stuck.send("GET /livez HTTP/1.1\r\nHost:")
            #expect(try await server.connect().ask(request("GET /livez")).status == 200)
            await services.triggerGracefulShutdown()
            try await running.value
            #expect(try await stuck.rest().isEmpty)
        }
    }

    @Test func `removes the file of a Unix socket`() async throws {
        let folder = try TemporaryFolder()
        let path = folder("s")
        try await withService("unix:\(path)") { server, services, running in
            #expect(try await server.connect().ask(request("GET /livez")).status == 200)
            #expect(FileManager.default.fileExists(atPath: path))
            await services.triggerGracefulShutdown()
            try await running.value
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }
}
