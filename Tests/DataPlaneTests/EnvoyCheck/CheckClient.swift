import DataPlane
import EnvoyAuthorizationMessages
import ForwardAuth
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import SwiftProtobuf
import TestSupport
import Testing

typealias CheckRequest = Envoy_Service_Auth_V3_CheckRequest
typealias CheckResponse = Envoy_Service_Auth_V3_CheckResponse
typealias HeaderValueOption = Envoy_Config_Core_V3_HeaderValueOption

/// An independent gRPC client.
struct CheckClient: Sendable {
    let client: GRPCClient<HTTP2ClientTransport.Posix>

    func check(_ request: CheckRequest) async throws -> CheckResponse {
        try await Envoy_Service_Auth_V3_Authorization.Client(wrapping: client).check(request)
    }

    /// The code of the error for a request; nil if it is answered.
    func code(_ request: CheckRequest) async throws -> RPCError.Code? {
        do {
            _ = try await check(request)
            return nil
        } catch let error as RPCError {
            return error.code
        }
    }

    /// Calls a method with bytes that need not be a valid message.
    func call(
        _ bytes: [UInt8], method: String = "Check", service: String = "envoy.service.auth.v3.Authorization"
    ) async throws -> [UInt8] {
        let descriptor = MethodDescriptor(
            service: ServiceDescriptor(fullyQualifiedService: service), method: method)
        return try await client.unary(
            request: ClientRequest(message: bytes), descriptor: descriptor, serializer: PlainBytes(),
            deserializer: PlainBytes(), options: .defaults
        ) { try $0.message }
    }
}

private struct PlainBytes: MessageSerializer, MessageDeserializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Bytes { Bytes(message) }

    func deserialize<Bytes: GRPCContiguousBytes>(_ serializedMessageBytes: Bytes) throws -> [UInt8] {
        serializedMessageBytes.withUnsafeBytes { Array($0) }
    }
}

/// Runs a client of a listener, by its announced address.
func withCheckClient<Value: Sendable>(
    _ listener: String, security: HTTP2ClientTransport.Posix.TransportSecurity = .plaintext,
    _ body: (CheckClient) async throws -> Value
) async throws -> Value {
    let transport: HTTP2ClientTransport.Posix
    if listener.hasPrefix("grpc+unix:") {
        transport = try .http2NIOPosix(
            target: .unixDomainSocket(path: String(listener.dropFirst("grpc+unix:".count))), transportSecurity: security
        )
    } else {
        let port = try #require(listener.split(separator: ":").last.flatMap { Int($0) })
        transport = try .http2NIOPosix(target: .ipv4(address: "127.0.0.1", port: port), transportSecurity: security)
    }
    return try await withGRPCClient(transport: transport) { try await body(CheckClient(client: $0)) }
}

/// A server with Envoy's checks at its first listener and `/ext_authz` at its second, and a client of the first.
func withChecks(
    _ policies: [Policy], options: String = "", settings change: (inout DataPlaneSettings) -> Void = { _ in },
    _ body: (RunningServer, CheckClient) async throws -> Void
) async throws {
    let folder = try TemporaryFolder()
    let set = try PolicySet(policies)
    let listeners = ["grpc+unix:\(folder("s"))\(options)", "http://127.0.0.1:0?headers=x-forwarded"]
    try await withServer(
        listeners,
        settings: {
            $0.policies = set
            change(&$0)
        }
    ) { server in
        try await withCheckClient(server.addresses[0]) { try await body(server, $0) }
    }
}

/// A request as Envoy describes it.
func check(
    _ path: String, _ headers: [String: String] = [:], policy: String? = "any", method: String = "GET",
    host: String = "api.example", source: String? = "192.0.2.7"
) -> CheckRequest {
    var request = CheckRequest()
    request.attributes.request.http.method = method
    request.attributes.request.http.path = path
    request.attributes.request.http.host = host
    request.attributes.request.http.headers = headers.merging([":path": path, ":method": method, "accept": "*/*"]) {
        $1
    }
    if let source { request.attributes.source.address.socketAddress.address = source }
    request.attributes.source.address.socketAddress.portValue = 41_000
    if let policy { request.attributes.contextExtensions["policy"] = policy }
    return request
}

/// A request as Envoy describes it with `encode_raw_headers`: its headers are bytes, in the order of the request.
func rawCheck(
    _ path: String, _ headers: [(String, String)], policy: String? = "any", method: String = "GET"
) -> CheckRequest {
    var request = check(path, policy: policy, method: method)
    request.attributes.request.http.headers = [:]
    request.attributes.request.http.headerMap.headers = headers.map { name, value in
        var header = Envoy_Config_Core_V3_HeaderValue()
        header.key = name
        header.rawValue = Data(value.utf8)
        return header
    }
    return request
}

extension CheckResponse {
    /// Whether Envoy allows the request.
    var passes: Bool { status.code == 0 }

    /// The headers for the application.
    var identity: [String: String] {
        Dictionary(okResponse.headers.map { ($0.header.key, $0.header.value) }) { "\($0), \($1)" }
    }

    func refusal(_ name: String) -> String? {
        deniedResponse.headers.first { $0.header.key == name }?.header.value
    }
}
