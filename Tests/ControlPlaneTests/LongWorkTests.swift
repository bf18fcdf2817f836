import AdministrationAPI
import ControlPlaneFixture
import CredentialModel
import Dispatch
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOEmbedded
import Synchronization
import TestSupport
import Testing

@testable import ControlPlane
@testable import Issuance

@Suite struct `Long work of the control plane` {
    @Test func `runs one at a time, and a dropped permit is released`() throws {
        let work = ExclusiveWork("A thing")
        let first = try work.acquire()
        let refused = #expect(throws: Problem.self) { try work.acquire() }
        #expect(refused?.type == .busy && refused?.detail?.hasPrefix("A thing is already running") == true)
        first.release()
        let second = try work.acquire()
        // Releasing a permit twice has no effect.
        first.release()
        #expect(throws: Problem.self) { try work.acquire() }
        second.release()
        do { _ = try work.acquire() }
        try work.acquire().release()
    }

    @Test func `of bulk creations the second is refused until the first has ended`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let gate = WriterGate(plane.issuer.store)
            async let first = plane.client.post("/v1/keys/bulk", #"{"owner": "a", "count": 3}"#)
            try await gate.waitUntilQueued(1)
            let second = try await plane.client.post("/v1/keys/bulk", #"{"owner": "b", "count": 3}"#)
            gate.open()
            #expect(second.status == 503 && second.problem == "busy" && second.headers["retry-after"] == "1")
            #expect(try await first.status == 200)
            #expect(try await plane.client.post("/v1/keys/bulk", #"{"owner": "c", "count": 3}"#).status == 200)
            #expect(try await plane.client.get("/v1/keys").items.count == 6)
        }
    }

    @Test func `copies and checks follow each other without a refusal`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            for _ in 0..<3 {
                #expect(try await plane.client.post("/v1/store/backup").status == 200)
                #expect(try await plane.client.get("/v1/store/revocations").status == 200)
                #expect(try await plane.client.get("/v1/store/check").status == 200)
                #expect(try await plane.client.get("/v1/audit/check").status == 200)
            }
        }
    }

    @Test(arguments: [1, 2, 3, 7, 100_000])
    func `of a bulk creation divides the space of ids without a gap`(parts: Int) {
        var next: UInt64 = 1
        for part in 0..<parts {
            let ids = BulkCreation.ids(of: part, of: parts)
            #expect(ids.lowerBound == next && ids.upperBound - next >= UInt64(BulkCreation.chunkSize))
            next = ids.upperBound &+ 1
        }
        #expect(next == 0)
    }

    /// The largest creation generates only the first thousand ids before it returns the first thousand keys.
    @Test func `of a bulk creation runs in chunks, and ends with its task`() async throws {
        let fixture = try Fixture()
        let creation = try fixture.issuer.bulkCreation(of: KeyRequest(owner: "acme", count: Issuer.keysInBulkMax))
        let (chunks, seen) = AsyncStream.makeStream(of: [CredentialID].self)
        let task = Task { try await creation.run { seen.yield($0.keys.map(\.id)) } }
        let ids = try #require(await chunks.first { _ in true })
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        let part = BulkCreation.ids(of: 0, of: Issuer.keysInBulkMax / BulkCreation.chunkSize)
        #expect(ids.count == BulkCreation.chunkSize && ids.allSatisfy { part.contains($0.rawValue) })
    }

    @Test func `of an export ends for a caller that is revoked meanwhile`() async throws {
        let fixture = try Fixture()
        for _ in 0..<2 { _ = try await fixture.issuer.createKeys(KeyRequest(owner: "a", count: 1_000)) }
        let isRevoked = Atomic<Bool>(false)
        let access = AccessRule { _, _, _ in
            if isRevoked.load(ordering: .relaxed) { throw Problem(.unauthenticated) }
            return .unlimited(.program)
        }
        let route = Route(.get, "/v1/keys/export", .keysRead, KeyRoutes(work: LongWork()).export)
        let request = Request(
            head: .init(method: .get, scheme: nil, authority: nil, path: "/v1/keys/export"),
            body: .init(buffer: .init()))
        let response = try await route.respond(
            to: request, context(), issuer: fixture.issuer, access: access)
        isRevoked.store(true, ordering: .relaxed)
        let pages = Pages()
        await #expect(throws: Problem.self) { try await response.body.write(Collecting(pages: pages)) }
        #expect(pages.count.load(ordering: .relaxed) == 1)
    }

    @Test func `of a backup ends for a caller that is revoked while it is sent`() async throws {
        let fixture = try Fixture()
        for _ in 0..<3 { _ = try await fixture.issuer.createKeys(KeyRequest(owner: "a", count: 1_000)) }
        let isRevoked = Atomic<Bool>(false)
        let access = AccessRule { _, _, _ in
            if isRevoked.load(ordering: .relaxed) { throw Problem(.unauthenticated) }
            return .unlimited(.program)
        }
        let work = LongWork()
        let store = StoreRoutes(backupFolder: fixture.folder.path, checkStore: nil, work: work)
        let route = Route(.post, "/v1/store/backup", .storeBackup, isLongRunning: true, store.backup)
        let request = Request(
            head: .init(method: .post, scheme: nil, authority: nil, path: "/v1/store/backup"),
            body: .init(buffer: .init()))
        let whole = Pages()
        try await route.respond(to: request, context(), issuer: fixture.issuer, access: access).body
            .write(Collecting(pages: whole))
        #expect(whole.count.load(ordering: .relaxed) > 1)
        let pieces = Pages()
        let response = try await route.respond(to: request, context(), issuer: fixture.issuer, access: access)
        let writer = Collecting(pages: pieces) { isRevoked.store(true, ordering: .relaxed) }
        await #expect(throws: Problem.self) { try await response.body.write(writer) }
        #expect(pieces.count.load(ordering: .relaxed) == 1)
    }

    /// A revocation looks up its credentials before it writes, and counts them afterwards.
    @Test(.timeLimit(.minutes(10))) func `of all kinds does not delay revocations`() async throws {
        try await OAuthFixture.serve { plane async throws in
            let issuer = plane.issuer
            let keys = try await issuer.createKeys(KeyRequest(owner: "acme", count: 3))
            let ids = keys.map(\.summary.id.description)
            let client = try await plane.fixture.client().summary.clientID
            let token = try await issuer.issueToken(TokenRequest(clientID: client, subject: "alice"))
            try await issuer.rememberConsent(subject: "alice", clientID: client, scope: ["read"])
            let leak = #"{"credential": "\#(keys[2].secret.reveal())"}"#
            let blockade = Blockade(of: .long)
            try await withTaskCancellationHandler { () async throws in
                let control = plane.control
                #expect(try await control.delete("/v1/keys/\(ids[0])").status == 200)
                let named = #"{"ids": ["\#(ids[1])"], "chain": true}"#
                #expect(try await control.post("/v1/keys/revocations", named).status == 200)
                #expect(try await plane.post("/v1/leaks", leak, type: "application/json").status == 202)
                #expect(try await control.delete("/v1/tokens/\(token.summary.id)").status == 200)
                #expect(try await control.delete("/v1/consents?sub=alice&client_id=\(client)").status == 204)
                #expect(try await control.post("/v1/owners/acme/revocations").status == 200)
                #expect(try await control.post("/v1/clients/\(client)/revocations").status == 200)
                #expect(try await control.delete("/v1/clients/\(client)").status == 200)
            } onCancel: {
                blockade.lift()
            }
            for key in keys { #expect(try !plane.isActive(key.secret.reveal())) }
        }
    }

    /// Stops long work until it is lifted, or its test is over.
    private final class Blockade: Sendable {
        private let queue: DispatchQueue
        private let isLifted = Atomic<Bool>(false)

        init(of threads: WorkThreads) {
            queue = threads.queue
            queue.suspend()
        }

        deinit { lift() }

        func lift() {
            if !isLifted.exchange(true, ordering: .relaxed) { queue.resume() }
        }
    }

    private final class Pages: Sendable {
        let count = Atomic<Int>(0)
    }

    private struct Collecting: ResponseBodyWriter {
        let pages: Pages
        var afterEach: @Sendable () -> Void = {}

        mutating func write(_ buffer: ByteBuffer) async throws {
            pages.count.add(1, ordering: .relaxed)
            afterEach()
        }
        consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
    }
}

/// The context of a request without a connection.
func context() -> ControlPlaneContext {
    ControlPlaneContext(
        source: ApplicationRequestContextSource(channel: EmbeddedChannel(), logger: Logger(label: "test")))
}
