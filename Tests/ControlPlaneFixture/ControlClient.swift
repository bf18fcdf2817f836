import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// A plain HTTP client of the control plane. Every status is a result, none an error.
public struct ControlClient: Sendable {
    /// A response with its body as bytes and as JSON.
    public struct Answer: Sendable {
        public let status: Int
        public let headers: [String: String]
        public let bytes: [UInt8]

        /// The body as an object; empty if it is not one.
        public var json: [String: Any] {
            (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any] ?? [:]
        }

        public var items: [[String: Any]] { json["items"] as? [[String: Any]] ?? [] }
        /// The last part of the problem's type.
        public var problem: String? { (json["type"] as? String)?.split(separator: ":").last.map(String.init) }
        public func text(_ member: String) -> String? { json[member] as? String }
        public func number(_ member: String) -> Int? { json[member] as? Int }
        public func texts(_ member: String) -> [String]? { json[member] as? [String] }
        public func isNull(_ member: String) -> Bool { json[member] is NSNull }
    }

    private let socketPath: String

    public init(_ socketPath: String) {
        self.socketPath = socketPath
    }

    public func get(_ path: String) async throws -> Answer { try await send("GET", path) }
    public func delete(_ path: String) async throws -> Answer { try await send("DELETE", path) }

    public func post(_ path: String, _ body: String? = nil, headers: [String: String] = [:]) async throws -> Answer {
        try await send("POST", path, body: body.map { Array($0.utf8) }, headers: headers)
    }

    /// Sends a body as JSON unless the headers say something else.
    public func send(
        _ method: String, _ path: String, body: [UInt8]? = nil, headers: [String: String] = [:]
    ) async throws -> Answer {
        let host = socketPath.replacing("/", with: "%2F")
        return try await Self.send(method, "http+unix://\(host)\(path)", body: body, headers: headers)
    }

    /// Sends a request to any address, a Unix socket or TCP. Redirects are not followed.
    static func send(
        _ method: String, _ address: String, body: [UInt8]? = nil, headers: [String: String] = [:]
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: address)
        request.method = HTTPMethod(rawValue: method)
        if let body {
            request.body = .bytes(ByteBuffer(bytes: body))
            if headers["Content-Type"] == nil { request.headers.add(name: "Content-Type", value: "application/json") }
        }
        if address.hasPrefix("http+unix") { request.headers.add(name: "Host", value: "countersign") }
        for (name, value) in headers where !value.isEmpty { request.headers.add(name: name, value: value) }
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            let response = try await http.execute(request, timeout: .seconds(30))
            let buffer = try await response.body.collect(upTo: 64 * 1_024 * 1_024)
            try await http.shutdown()
            let pairs = response.headers.map { ($0.name.lowercased(), $0.value) }
            return Answer(
                status: Int(response.status.code), headers: Dictionary(pairs) { first, _ in first },
                bytes: Array(buffer.readableBytesView))
        } catch {
            try? await http.shutdown()
            throw error
        }
    }
}

extension ControlPlaneFixture {
    public var client: ControlClient { ControlClient(socketPath) }

    /// Creates a key and returns its id and text.
    public func makeKey(owner: String = "acme", scope: String = "a:read") async throws -> (id: String, key: String) {
        let answer = try await client.post("/v1/keys", #"{"owner": "\#(owner)", "scope": "\#(scope)"}"#)
        let item = answer.items.first ?? [:]
        return (item["id"] as? String ?? "", item["key"] as? String ?? "")
    }

    /// Creates a client and returns its id.
    public func makeClient() async throws -> String {
        let body = #"{"name": "gateway", "grant_types": ["client_credentials"], "scope": "a:read"}"#
        return try await client.post("/v1/clients", body).text("client_id") ?? ""
    }
}
