import HTTPWire
import Testing

@Suite struct LimitTests {
    @Test func `a head of 16 KiB is taken and one byte more is not`() {
        let head = request("X: ", line: "GET / HTTP/1.1")
        let fits = request("X: " + filler(16_384 - head.utf8.count), line: "GET / HTTP/1.1")
        #expect(fits.utf8.count == 16_384)
        #expect(step(fits) == .request(consumedBytes: 16_384))
        #expect(fault(request("X: " + filler(16_385 - head.utf8.count), line: "GET / HTTP/1.1")) == .headTooLarge)
        let unfinished = String(decoding: fits.utf8.dropLast(4), as: UTF8.self)
        #expect(step(unfinished) == .needMore)
        #expect(step(unfinished + "xxx") == .needMore)
        #expect(fault(unfinished + "xxxx") == .headTooLarge)
    }

    @Test func `64 fields are taken and 65 are not`() {
        let fields = String(repeating: "A: b\r\n", count: 63)
        #expect(fault("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n") == nil)
        #expect(fault("GET / HTTP/1.1\r\nHost: a\r\n\(fields)A: b\r\n\r\n") == .tooManyFields)
    }

    @Test func `a target that is too long is told apart from a head that is`() {
        #expect(fault(request(line: "GET /\(filler(12_287)) HTTP/1.1")) == nil)
        #expect(fault(request(line: "GET /\(filler(12_288)) HTTP/1.1")) == .targetTooLong)
        #expect(fault("GET /" + filler(16_384)) == .targetTooLong)
        #expect(step("GET /" + filler(16_378)) == .needMore)
    }

    @Test func `a body is as large as its path allows`() {
        var limits = WireLimits()
        limits.bodyBytesMax = 10
        limits.limitBody(to: 20, under: "/v1/verify")
        limits.limitBody(to: 5, under: "/v1/")
        for (path, max) in [
            ("/", 10), ("/v1/verify", 20), ("/v1/verify/x?y", 20), ("/v1/other", 5), ("/v1", 10), ("//v1/verify", 10),
        ] {
            let line = "POST \(path) HTTP/1.1"
            let fits = request("Content-Length: \(max)", body: filler(max), line: line)
            #expect(step(fits, limits: limits) == .request(consumedBytes: fits.utf8.count), "\(path)")
            #expect(
                fault(request("Content-Length: \(max + 1)", line: line), limits: limits) == .bodyTooLarge, "\(path)")
            let size = String(max, radix: 16)
            let chunked = request(
                "Transfer-Encoding: chunked", body: "\(size)\r\n\(filler(max))\r\n0\r\n\r\n", line: line)
            #expect(step(chunked, limits: limits) == .request(consumedBytes: chunked.utf8.count), "\(path)")
            let more = "\(size)\r\n\(filler(max))\r\n1\r\n"
            #expect(
                fault(request("Transfer-Encoding: chunked", body: more, line: line), limits: limits) == .bodyTooLarge)
        }
    }

    @Test func `the path of an absolute target chooses its body limit`() {
        var limits = WireLimits()
        limits.limitBody(to: 1_048_576, under: "/v1/verify")
        let head = request("Content-Length: 1048576", line: "POST http://a/v1/verify HTTP/1.1")
        #expect(step(head, limits: limits) == .needMore)
        #expect(limits.messageBytesMax > 2 * 1_048_576)
    }

    @Test func `every fault has a status of its kind and a reason`() {
        for fault in WireFault.allCases {
            #expect([400, 405, 413, 414, 417, 431, 501, 505].contains(fault.status))
            #expect(fault.reason.utf8CodeUnitCount > 10)
        }
        #expect(WireFault.bodyTooLarge.status == 413)
        #expect(WireFault.targetTooLong.status == 414)
        #expect(WireFault.unmetExpectation.status == 417)
        #expect(WireFault.tooManyFields.status == 431)
        #expect(WireFault.unknownTransferCoding.status == 501)
        #expect(WireFault.unsupportedVersion.status == 505)
        #expect(WireFault.badHost.status == 400)
    }

    @Test func `a fault is final`() {
        var parser = RequestParser()
        let bad = Array("GET / HTTP/1.1\n".utf8)
        let good = Array(request().utf8)
        #expect(parser.parse(bad.span.bytes) == .fault(.bareLineFeed))
        #expect(parser.parse(good.span.bytes) == .fault(.bareLineFeed))
    }

    private func filler(_ count: Int) -> String { String(repeating: "x", count: count) }
}
