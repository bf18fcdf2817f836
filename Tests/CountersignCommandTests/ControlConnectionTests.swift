@testable import countersign
import ControlPlaneFixture
import Foundation
import Synchronization
import Testing

@Suite struct ControlConnectionTests {
    @Test func `without a daemon the error says what to do`() async throws {
        let folder = try ControlPlaneFixture.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let outcome = try await CommandProcess.run(["health"], in: folder)
        #expect(outcome.status == 3)
        #expect(outcome.errors.contains("No daemon listens on './countersign-data/control.sock'"))
        #expect(outcome.errors.contains("countersign serve"))
        let long = "unix:/" + String(repeating: "x", count: 200)
        let tooLong = try await CommandProcess.run(["health", "--control", long], in: folder)
        #expect(tooLong.status == 3)
        #expect(tooLong.errors.contains("too long"))
    }

    @Test func `a connection that fails is explained without names of libraries`() async throws {
        try await OAuthFixture.serve { server in
            let folder = try ControlPlaneFixture.makeFolder()
            defer { try? FileManager.default.removeItem(at: folder) }
            let key = folder.appendingPathComponent("key")
            try Data("iik1_x".utf8).write(to: key)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key.path)
            for (address, said) in [
                ("https://127.0.0.1:\(server.port)", "does not speak TLS on this port"),
                ("http://127.0.0.1:1", "nothing has this port"),
            ] {
                let outcome = try await CommandProcess.run(
                    ["key", "list", "--control", address, "--control-key-file", key.path], in: folder)
                #expect(outcome.status == 3 && outcome.errors.contains(said), "\(outcome.errors)")
                for word in ["NIO", "Error(", "SSL", "errno"] { #expect(!outcome.errors.contains(word)) }
            }
        }
    }

    @Test func `the default socket is found in the store's folder`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let outcome = try await CommandProcess.run(["health", "--store", plane.folder.path], in: plane.folder)
            #expect(outcome.output == "ready\n")
        }
    }

    @Test func `without a daemon, commands use a control plane in their own process`() async throws {
        try await ControlPlaneFixture.serve { plane async throws in
            let store = plane.folder.appendingPathComponent("store")
            try FileManager.default.createDirectory(at: store, withIntermediateDirectories: false)
            let calls = Calls()
            let opener: InProcessControl.Opener = { folder in
                calls.add("open \(folder)")
                return InProcessControl(address: ControlAddress(socketPath: plane.socketPath)) { calls.add("shutdown") }
            }
            await InProcessControl.$opener.withValue(opener) {
                let made = await Countersign.run(["key", "create", "--owner", "acme", "--json", "--store", store.path])
                #expect(made == .done)
                let unknown = await Countersign.run(["key", "show", "00000000001", "--store", store.path])
                #expect(unknown == .negative)
            }
            #expect(calls.all == ["open \(store.path)", "shutdown", "open \(store.path)", "shutdown"])
            #expect(try await plane.client.get("/v1/keys?owner=acme").items.count == 1)
        }
    }

    @Test func `a mistyped folder opens no store and makes none`() async throws {
        let folder = try ControlPlaneFixture.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let calls = Calls()
        let opener: InProcessControl.Opener = { _ in
            calls.add("open")
            throw CommandFailure("opened")
        }
        await InProcessControl.$opener.withValue(opener) {
            #expect(await Countersign.run(["key", "list", "--store", folder.path + "/typo"]) == .failed)
            #expect(await Countersign.run(["key", "list", "--control", "unix:\(folder.path)/s"]) == .failed)
            #expect(await Countersign.run(["health", "--store", folder.path]) == .failed)
        }
        #expect(calls.all.isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    private final class Calls: Sendable {
        private let state = Mutex<[String]>([])
        var all: [String] { state.withLock { $0 } }
        func add(_ call: String) { state.withLock { $0.append(call) } }
    }
}
