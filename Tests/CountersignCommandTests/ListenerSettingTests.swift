import Foundation
import Testing

@Suite struct ListenerSettingTests {
    private func check(_ arguments: String...) async throws -> CommandProcess.Outcome {
        try await CommandProcess.run(["config", "check"] + arguments, in: FileManager.default.temporaryDirectory)
    }

    @Test func `listeners of gRPC have a setting of their own, and it has no others`() async throws {
        let good = try await check("--grpc-listen", "grpc+unix:/run/check.sock?mode=0660")
        #expect(good.status == 0 && good.output.contains("grpc+unix:/run/check.sock?mode=0660"))
        for setting in ["--listen", "--control-listen", "--health-listen"] {
            let refused = try await check(setting, "grpc+unix:/run/check.sock")
            #expect(refused.status == 2 && refused.errors.contains("grpc-listen"), "\(setting)")
        }
        let other = try await check("--grpc-listen", "unix:/run/check.sock")
        #expect(other.status == 2 && other.errors.contains("grpcs://"))
        let bare = try await check("--grpc-listen", "grpcs://0.0.0.0:8444")
        #expect(bare.status == 2 && bare.errors.contains("tls-certificate"))
        let unknown = try await check("--grpc-listen", "grpc+unix:/run/check.sock?policy=orders")
        #expect(unknown.status == 2 && unknown.errors.contains("orders"))
    }

    @Test func `a name that begins like a loopback address is not one`() async throws {
        for (flag, text) in [
            ("--issuer", "http://127.example.com"), ("--introspection-url", "http://127.example.com/oauth2/introspect"),
            ("--login-url", "http://127.example.com"), ("--listen", "http://127.example.com:8080"),
        ] {
            let refused = try await check("--control-listen", "http://127.0.0.1:8081", flag, text)
            #expect(refused.status == 2 && refused.errors.contains("loopback"), "\(flag)")
        }
    }
}
