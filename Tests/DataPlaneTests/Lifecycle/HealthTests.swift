import DataPlane
import Foundation
import Issuance
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct `The probes` {
    @Test func `say that the process lives and whether it takes traffic`() async throws {
        try await withServer { server in
            let client = try await server.connect()
            let live = try await client.ask(request("GET /livez"))
            #expect(live.status == 200 && live.text == "ok\n" && live["Cache-Control"] == "no-store")
            let ready = try await client.ask(request("GET /readyz"))
            #expect(ready.status == 200 && ready.text == "ready\n")
            for path in ["/livez", "/readyz"] {
                let head = try await client.ask(request("HEAD \(path)?x"), isHead: true)
                #expect(head.status == 200 && head.body.isEmpty)
                for method in ["POST", "DELETE", "get"] {
                    let answer = try await client.ask(request("\(method) \(path)"))
                    #expect(answer.status == 405 && answer["Allow"] == "GET, HEAD")
                }
            }
        }
    }

    @Test(arguments: [
        (Readiness.State.starting, "starting"), (.draining, "shutting down"), (.failed, "store has failed"),
    ])
    func `say why it takes none`(_ state: Readiness.State, _ reason: String) async throws {
        try await withServer { server in
            server.readiness.become(state)
            let client = try await server.connect()
            let answer = try await client.ask(request("GET /readyz"))
            #expect(answer.status == 503 && answer["Retry-After"] != nil)
            #expect(try (answer.json()["detail"] as? String)?.contains(reason) == true)
            // Being not ready is no reason to refuse what comes all the same.
            #expect(try await client.ask(request("GET /livez")).status == 200)
            let key = try await server.key().secret
            #expect(try await client.ask(verification("", apiKey(key))).isAllowed)
        }
    }

    @Test func `never say that a service which failed is ready again`() {
        let readiness = Readiness()
        #expect(readiness.current == .starting)
        readiness.become(.ready)
        readiness.become(.failed)
        readiness.become(.ready)
        readiness.become(.draining)
        #expect(readiness.current == .failed)
    }

    @Test func `are all that a listener for health serves`() async throws {
        let folder = try TemporaryFolder()
        for health in ["http://127.0.0.1:0", "unix:\(folder("h"))?may=introspect"] {
            try await withServer(health: health) { server in
                let caller = try await server.caller()
                let key = try await server.key().secret
                let client = try await server.connect(1)
                #expect(try await client.ask(request("GET /livez")).status == 200)
                #expect(try await client.ask(request("GET /readyz")).status == 200)
                for ask in [
                    verification("", apiKey(key)), verification(), introspection("token=\(key)", caller.authorization),
                    introspection("token=\(key)"), request("GET /"), request("GET /oauth2/introspect"),
                ] { #expect(try await client.ask(ask).status == 404) }
                #expect(server.lookUps == 0)
                // The other listener serves them too.
                #expect(try await server.connect(0).ask(request("GET /readyz")).status == 200)
                #expect(try await server.connect(0).ask(verification("", apiKey(key))).isAllowed)
            }
        }
    }
}
