import CredentialModel
import EnvoyAuthorization
import EnvoyAuthorizationMessages
import HTTPWire
import SwiftProtobuf
import Testing

/// Messages written here are read correctly by another implementation.
@Suite struct `A check response` {
    private func write(_ room: Int = 1 << 22, _ body: (inout ByteWriter) -> Void) throws -> [UInt8]? {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 1)
        defer { memory.deallocate() }
        var writer = ByteWriter(memory)
        body(&writer)
        return writer.overflowed ? nil : Array(memory.prefix(writer.written))
    }

    private func read(_ body: (inout ByteWriter) -> Void) throws -> Envoy_Service_Auth_V3_CheckResponse {
        let bytes = try #require(try write(body: body))
        let response = try Envoy_Service_Auth_V3_CheckResponse(serializedBytes: bytes)
        // In the shortest form.
        #expect(try response.serializedBytes() == bytes)
        return response
    }

    private func write(body: (inout ByteWriter) -> Void) throws -> [UInt8]? { try write(1 << 22, body) }

    @Test func `that allows is read as it was written`() throws {
        let name: [UInt8] = Array("api%5Fkey".utf8)
        let response = try read { out in
            out.append(checkStatus: .unauthenticated, "why")
            out.append(okResponse: { out in
                out.append(header: "x-a") { $0.append("b") }
                out.append(header: "x-c") { $0.append("d") }
                out.append(headerToRemove: "authorization")
                out.append(queryParameterToRemove: name.octets)
            })
            out.append(dynamicMetadata: { out in
                out.append(member: "text") { $0.append("ü") }
            })
        }
        #expect(response.status.code == 16 && response.status.message == "why")
        #expect(response.okResponse.headers.map(\.header.key) == ["x-a", "x-c"])
        #expect(response.okResponse.headers.map(\.header.value) == ["b", "d"])
        #expect(response.okResponse.headers.allSatisfy { $0.appendAction == .overwriteIfExistsOrAdd })
        #expect(response.okResponse.headersToRemove == ["authorization"])
        #expect(response.okResponse.queryParametersToRemove == ["api%5Fkey"])
        #expect(response.dynamicMetadata.fields["text"]?.stringValue == "ü")
    }

    @Test(arguments: [0, 1, 1_795_473_425, -1.5, .infinity])
    func `has numbers`(_ number: Double) throws {
        let bytes = try #require(try write { $0.append(dynamicMetadata: { $0.append(member: "n", number: number) }) })
        let response = try Envoy_Service_Auth_V3_CheckResponse(serializedBytes: bytes)
        #expect(response.dynamicMetadata.fields["n"]?.numberValue == number)
    }

    @Test(arguments: [0, 1, 100, 127, 128, 129, 16_000, 16_383, 16_384, 100_000, 2_097_000])
    func `has the shortest length prefixes`(_ count: Int) throws {
        let body = [UInt8](repeating: 0x61, count: count)
        let response = try read { out in
            out.append(checkStatus: .permissionDenied, "no")
            out.append(deniedResponse: 403) { out in
                out.append(header: "a") { $0.append("b") }
                if count > 0 { out.append(body: { $0.append(body.octets) }) }
            }
        }
        #expect(response.deniedResponse.body.utf8.count == count && response.deniedResponse.status.code == .forbidden)
    }

    @Test func `that does not fit is not written`() throws {
        let body = [UInt8](repeating: 0x61, count: 1 << 21)
        #expect(try write { $0.append(deniedResponse: 403) { $0.append(body: { $0.append(body.octets) }) } } == nil)
        #expect(try write(10) { $0.append(checkStatus: .internal, "too long for ten") } == nil)
        #expect(try write(2) { $0.append(checkStatus: .ok, "") } == nil)
    }
}
