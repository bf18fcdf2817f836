import HTTPWire

/// The result does not depend on how the bytes arrive: at once, split in two anywhere, or one by one.
func checkRequests(_ bytes: [UInt8]) {
    let whole = read(bytes, arriving: [bytes.count])
    require(whole == read(bytes, arriving: [Int(bytes.first ?? 0), bytes.count]), "a split changes the result")
    let split = bytes.count > 1 ? Int(bytes[1]) &* 64 &+ Int(bytes[0]) : 0
    require(whole == read(bytes, arriving: [split, bytes.count]), "a split changes the result")
    if bytes.count <= 512 {
        require(whole == read(bytes, arriving: Array(0...bytes.count)), "single bytes change the result")
    }
    for arriving in [[bytes.count], [split, bytes.count]] {
        var pieces = readPieces(bytes, arriving: arriving)
        pieces.requests = whole.requests
        require(whole == pieces, "reading the head first changes the result")
    }
}

private let limits = {
    var limits = WireLimits()
    limits.bodyBytesMax = 256
    limits.headBytesMax = 1_024
    limits.targetBytesMax = 512
    limits.chunkLineBytesMax = 64
    limits.chunkOverheadBytesMax = 128
    limits.trailerBytesMax = 256
    limits.limitBody(to: 1_024, under: "/v1/")
    return limits
}()

/// The same for requests that are read in pieces, head first. Heads are not compared: the same code reads them.
func readPieces(_ bytes: [UInt8], arriving: [Int]) -> Reading {
    var parser = RequestParser(limits: limits)
    var reading = Reading()
    var body: [UInt8] = []
    var dropped = 0
    for arrived in arriving {
        let end = min(arrived, bytes.count)
        var wantsMore = false
        while !wantsMore, reading.fault == nil {
            let rest = bytes[min(dropped, end)..<end]
            // SAFETY: plain bytes, all of them initialised.
            let span = unsafe rest.span.bytes
            switch parser.parsePiece(span) {
            case .needMore: wantsMore = true
            case .head(let consumed, _):
                require(consumed > 0 && consumed <= span.byteCount, "a head consumes more than there is")
                body = []
                dropped += consumed
            case .body(let range, let consumed):
                require(range, within: consumed)
                require(consumed <= span.byteCount, "a body consumes more than there is")
                body += copy(span.slice(range))
                dropped += consumed
            case .end(let consumed):
                require(consumed <= span.byteCount, "an end consumes more than there is")
                dropped += consumed
                reading.bodies.append(body)
                reading.consumed = dropped
            case .fault(let fault): reading.fault = fault
            }
        }
    }
    return reading
}

/// Everything that a connection learns from its bytes, with requests reduced to checksums.
struct Reading: Equatable {
    var requests: [UInt64] = []
    var bodies: [[UInt8]] = []
    var consumed = 0
    var fault: WireFault?
}

/// Reads pipelined requests from growing prefixes of the bytes.
func read(_ bytes: [UInt8], arriving: [Int]) -> Reading {
    var parser = RequestParser(limits: limits)
    var reading = Reading()
    for arrived in arriving {
        let end = min(arrived, bytes.count)
        var wantsMore = false
        while !wantsMore, reading.fault == nil {
            let rest = bytes[min(reading.consumed, end)..<end]
            // SAFETY: plain bytes, all of them initialised.
            let span = unsafe rest.span.bytes
            switch parser.parse(span) {
            case .needMore:
                wantsMore = true
            case .continueExpected:
                require(parser.parse(span) == .needMore, "continue is expected twice")
                wantsMore = true
            case .fault(let fault):
                require((400...505).contains(fault.status), "a fault has no status")
                reading.fault = fault
            case .request(let consumed):
                require(consumed > 0 && consumed <= span.byteCount, "a request consumes more than there is")
                reading.requests.append(checksum(parser, span, consumed))
                reading.bodies.append(parser.withBody(in: span, copy))
                reading.consumed += consumed
            }
        }
    }
    return reading
}

private func checksum(_ parser: borrowing RequestParser, _ bytes: RawSpan, _ consumed: Int) -> UInt64 {
    var sum = Checksum()
    add(parser.request, bytes, consumed, to: &sum)
    parser.withBody(in: bytes) { sum.add($0) }
    return sum.value
}

private func add(_ head: borrowing RequestHead, _ bytes: RawSpan, _ consumed: Int, to sum: inout Checksum) {
    for range in [head.methodName, head.target, head.path, head.query ?? WireRange(), head.bodyRange] {
        require(range, within: consumed)
        sum.add(range, in: bytes)
    }
    require(!head.path.isEmpty, "a path is empty")
    require(head.fieldCount <= RequestHead.fieldCapacity, "too many fields")
    sum.add(head.keepAlive ? 1 : 0)
    sum.add(head.minorVersion)
    sum.add(head.method.rawValue)
    for index in 0..<head.fieldCount {
        let name = head.name(at: index)
        let value = head.value(at: index)
        require(name, within: consumed)
        require(value, within: consumed)
        require(!name.isEmpty, "a name is empty")
        sum.add(name, in: bytes)
        sum.add(value, in: bytes)
        sum.add(head.field(at: index).rawValue)
    }
    for field in KnownField.allCases { checkLookUp(field, head) }
}

/// The index of known fields agrees with a walk over all fields.
private func checkLookUp(_ field: KnownField, _ head: borrowing RequestHead) {
    var indices: [Int] = []
    for index in 0..<head.fieldCount where head.field(at: index) == field { indices.append(index) }
    require(head.count(field) == indices.count, "a field is counted wrongly")
    require(head.value(field) == indices.first.map { head.value(at: $0) }, "a field is not found")
    var walked: [Int] = []
    var next = head.index(of: field)
    while let index = next {
        walked.append(index)
        next = head.index(of: field, after: index)
    }
    require(walked == indices, "a walk over equal fields misses some")
}

/// FNV-1a.
struct Checksum {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }

    mutating func add(_ bytes: RawSpan) {
        for byte in copy(bytes) { add(byte) }
        add(0xFF)
        add(UInt8(truncatingIfNeeded: bytes.byteCount))
    }

    mutating func add(_ range: WireRange, in bytes: RawSpan) { add(bytes.slice(range)) }
}

/// The bytes of a span as an array.
func copy(_ bytes: RawSpan) -> [UInt8] {
    // SAFETY: the pointer does not leave the closure, and the array copies what it points to.
    unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
}
