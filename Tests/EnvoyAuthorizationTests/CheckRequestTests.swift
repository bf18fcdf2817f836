import CredentialModel
import EnvoyAuthorization
import EnvoyAuthorizationMessages
import Foundation
import HTTPWire
import SwiftProtobuf
import Testing

/// Messages of another implementation are read correctly, and no bytes trap.
@Suite struct `A check request` {
    private func sample() -> Envoy_Service_Auth_V3_CheckRequest {
        var request = Envoy_Service_Auth_V3_CheckRequest()
        request.attributes.source.address.socketAddress.address = "192.0.2.7"
        request.attributes.source.address.socketAddress.portValue = 443
        request.attributes.contextExtensions = ["a": "b", "policy": "orders"]
        request.attributes.request.http.method = "PUT"
        request.attributes.request.http.path = "/a?b=c"
        request.attributes.request.http.host = "api.example:80"
        request.attributes.request.http.headers = [
            "authorization": "ApiKey x", "origin": "o", "Access-Control-Request-Method": "GET",
            "x-forwarded-for": "a, b",
            ":path": "/a", "x-authorization": "no", "authorization2": "no", "autho": "",
        ]
        return request
    }

    private func read(_ bytes: [UInt8]) throws(ProtobufFault) -> CheckRequest {
        var request = CheckRequest()
        try request.read(bytes.octets)
        return request
    }

    private func text(_ range: WireRange?, _ bytes: [UInt8]) -> String? {
        range.map { String(decoding: bytes[$0.bounds], as: UTF8.self) }
    }

    @Test func `is parsed as it was written`() throws {
        let bytes: [UInt8] = try sample().serializedBytes()
        let request = try read(bytes)
        #expect(text(request.method, bytes) == "PUT" && text(request.path, bytes) == "/a?b=c")
        #expect(text(request.host, bytes) == "api.example:80" && text(request.source, bytes) == "192.0.2.7")
        #expect(text(request.policy, bytes) == "orders")
        #expect(text(request.authorization, bytes) == "ApiKey x" && request.authorizationCount == 1)
        #expect(request.originCount == 1 && request.accessControlRequestMethodCount == 1)
        #expect(request.forwardedFor.map { text($0, bytes) } == ["a, b"])
    }

    @Test func `may have raw headers, each counted`() throws {
        var sample = Envoy_Service_Auth_V3_CheckRequest()
        sample.attributes.request.http.headerMap.headers = [
            ("Authorization", "", "1"), ("x", "", ""), ("authorization", "2", ""), ("X-Forwarded-For", "", "a"),
            ("x-forwarded-for", "", "b"),
        ].map { name, value, raw in
            var header = Envoy_Config_Core_V3_HeaderValue()
            (header.key, header.value, header.rawValue) = (name, value, Data(raw.utf8))
            return header
        }
        let bytes: [UInt8] = try sample.serializedBytes()
        let request = try read(bytes)
        #expect(text(request.authorization, bytes) == "1" && request.authorizationCount == 2)
        #expect(request.forwardedFor.map { text($0, bytes) } == ["a", "b"])
        #expect(request.policy == nil && request.source.isEmpty)
    }

    /// Envoy sends more than is read here, and will send more in the future.
    @Test func `may have unknown fields`() throws {
        let unknown: [UInt8] = [
            0xF8, 0x07, 0x01, 0xF2, 0x07, 0x02, 1, 2, 0xE9, 0x07, 1, 2, 3, 4, 5, 6, 7, 8, 0xED, 0x07, 1, 2, 3, 4,
        ]
        var inner = try Envoy_Service_Auth_V3_AttributeContext(serializedBytes: unknown)
        let known = sample().attributes
        try inner.merge(serializedBytes: known.serializedBytes() as [UInt8])
        var outer = try Envoy_Service_Auth_V3_CheckRequest(serializedBytes: unknown)
        outer.attributes = inner
        let bytes: [UInt8] = try outer.serializedBytes()
        let request = try read(bytes)
        #expect(text(request.policy, bytes) == "orders" && text(request.method, bytes) == "PUT")
    }

    @Test func `replaces the previous one`() throws {
        var request = CheckRequest()
        let bytes: [UInt8] = try sample().serializedBytes()
        try request.read(bytes.octets)
        try request.read([UInt8]().octets)
        #expect(request.authorizationCount == 0 && request.policy == nil && request.forwardedFor.isEmpty)
        #expect(request.method.isEmpty && request.path.isEmpty && request.source.isEmpty && request.originCount == 0)
    }

    @Test(
        arguments: [
            [0x08], [0x0A], [0x0A, 0x02, 0x00], [0x00], [0x0A, 0x02, 0x08, 0x01], [0x0B], [0x0F], [0x09, 1, 2, 3],
            [0x0D, 1], [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
            [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], [0x0A, 0x03, 0x22, 0x05, 0x12],
            [0x08, 0x01],
        ] as [[UInt8]])
    func `that is malformed is a fault`(_ bytes: [UInt8]) {
        #expect(throws: ProtobufFault.self) { try read(bytes) }
    }

    /// For any bytes, parsing ends, and its ranges lie within them.
    @Test func `of any bytes never traps`() throws {
        var random = SystemRandomNumberGenerator()
        let whole: [UInt8] = try sample().serializedBytes()
        for length in 0..<whole.count { _ = try? read(Array(whole[..<length])) }
        var readable = 0
        for _ in 0..<30_000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = .random(in: 0...255, using: &random)
                case 1: bytes.insert(.random(in: 0...255, using: &random), at: place)
                default: bytes.remove(at: place)
                }
            }
            guard let request = try? read(bytes) else { continue }
            readable += 1
            for range in [request.method, request.path, request.host, request.authorization, request.source] {
                #expect(range.bounds.upperBound <= bytes.count)
            }
        }
        // A change inside of a text, at least one in fifty, leaves a valid request.
        #expect(readable > 500)
    }
}
