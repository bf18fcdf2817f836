extension RequestParser {
    /// What the fields say together: host, framing, expectation, life of the connection. Sets the phase of the body.
    mutating func finishHead(_ bytes: RawSpan) -> WireFault? {
        if let fault = checkHost(bytes) { return fault }
        let length: Int
        switch bodyLength(bytes) {
        case .success(let value): length = value
        case .failure(let fault): return fault
        }
        let start = position
        scanned = 0
        request.bodyRange = WireRange(start, start &+ length)
        request.keepAlive = wantsKeepAlive(bytes)
        if request.isChunked {
            phase = .chunkSize
            bodyMax = limits.bodyMax(for: request.path, in: bytes)
            decoded.removeAll(keepingCapacity: true)
        } else {
            phase = .body
            if length > 0, length > limits.bodyMax(for: request.path, in: bytes) { return .bodyTooLarge }
        }
        if let fault = checkExpectation(bytes, hasBody: length > 0 || request.isChunked) { return fault }
        // What follows a head must depend on nothing but the head.
        if !request.isChunked, !owesContinue { lastHead.remember(bytes, count: start) }
        return nil
    }

    private func checkHost(_ bytes: RawSpan) -> WireFault? {
        let count = request.count(.host)
        guard count <= 1 else { return .repeatedHost }
        guard let host = request.value(.host) else {
            if request.minorVersion > 0 { return .missingHost }
            return request.authority.isEmpty ? nil : .authorityMismatch
        }
        guard isHost(host, in: bytes) else { return .badHost }
        if !request.authority.isEmpty, !bytes.equalsIgnoringCase(request.authority, host) { return .authorityMismatch }
        return nil
    }

    /// RFC 9112 §6.3, stricter: whatever could be read in two ways is a fault.
    private mutating func bodyLength(_ bytes: RawSpan) -> Result<Int, WireFault> {
        let lengths = request.count(.contentLength)
        if let coding = request.value(.transferEncoding) {
            if endsInTab(coding, bytes) { return .failure(.badTransferEncoding) }
            if request.minorVersion == 0 { return .failure(.codingInOldVersion) }
            if lengths > 0 { return .failure(.codingWithLength) }
            if request.count(.transferEncoding) > 1 { return .failure(.badTransferEncoding) }
            if bytes.equalsIgnoringCase(coding, "chunked") {
                request.isChunked = true
                return .success(0)
            }
            return .failure(endsInChunked(coding, bytes) ? .unknownTransferCoding : .badTransferEncoding)
        }
        guard let value = request.value(.contentLength) else { return .success(0) }
        if lengths > 1 { return .failure(.repeatedLength) }
        guard !endsInTab(value, bytes), let length = plainNumber(value, bytes) else { return .failure(.badLength) }
        // No limit comes near to 2^31, and offsets must stay within 32 bits.
        guard length < 1 << 31 else { return .failure(.bodyTooLarge) }
        return .success(length)
    }

    /// Whether a tab stands between a value and its line end. It may, but llhttp refuses it in the fields that frame a
    /// message, and there nobody may read more than others do.
    private func endsInTab(_ value: WireRange, _ bytes: RawSpan) -> Bool {
        var index = value.end
        while bytes.byte(index) == UInt8(ascii: " ") { index &+= 1 }
        return bytes.byte(index) == UInt8(ascii: "\t")
    }

    /// Whether `chunked` is the last of several codings: then the framing is clear and only the coding is unknown.
    private func endsInChunked(_ value: WireRange, _ bytes: RawSpan) -> Bool {
        var start = value.end
        while start > value.start, bytes.byte(start &- 1) != UInt8(ascii: ",") { start &-= 1 }
        guard start > value.start else { return false }
        return bytes.equalsIgnoringCase(bytes.trimmed(start, value.end), "chunked")
    }

    /// Digits only, and below 2^63.
    private func plainNumber(_ value: WireRange, _ bytes: RawSpan) -> Int? {
        guard !value.isEmpty else { return nil }
        var result = 0
        guard value.count > 18 else {
            // Eighteen digits stay below 2^63.
            for index in value.bounds {
                let byte = bytes.byte(index)
                guard isDigit(byte) else { return nil }
                result = result &* 10 &+ Int(byte &- UInt8(ascii: "0"))
            }
            return result
        }
        var index = value.start
        while index < value.end {
            let byte = bytes.byte(index)
            guard isDigit(byte) else { return nil }
            let (product, overflow) = result.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int(byte &- UInt8(ascii: "0")))
            guard !overflow, !carry else { return nil }
            result = sum
            index &+= 1
        }
        return result
    }

    private mutating func checkExpectation(_ bytes: RawSpan, hasBody: Bool) -> WireFault? {
        // RFC 9110 §10.1.1: an HTTP/1.0 client cannot mean it.
        guard let value = request.value(.expect), request.minorVersion > 0 else { return nil }
        guard request.count(.expect) == 1, bytes.equalsIgnoringCase(value, "100-continue") else {
            return .unmetExpectation
        }
        owesContinue = hasBody
        return nil
    }

    /// RFC 9112 §9.3: `close` wins; HTTP/1.0 has to ask for `keep-alive`.
    private func wantsKeepAlive(_ bytes: RawSpan) -> Bool {
        var keepAlive = request.minorVersion > 0
        var index = request.index(of: .connection)
        while let current = index {
            let value = request.value(at: current)
            var start = value.start
            while start < value.end {
                let comma = bytes.find(UInt8(ascii: ","), from: start, to: value.end)
                let option = bytes.trimmed(start, comma)
                if bytes.equalsIgnoringCase(option, "close") { return false }
                if bytes.equalsIgnoringCase(option, "keep-alive") { keepAlive = true }
                start = comma &+ 1
            }
            index = request.index(of: .connection, after: current)
        }
        return keepAlive
    }
}

/// Whether `range` can be a Host value: empty, or a name, an IPv4 address or a bracketed IP literal, and perhaps a
/// port (RFC 9110 §7.2, RFC 3986 §3.2.2). Percent-encoding and sub-delimiters, legal and never used, are refused, and
/// so is user information.
func isHost(_ range: WireRange, in bytes: RawSpan) -> Bool {
    var index = range.start
    // An origin without authority sends an empty Host (RFC 9112 §3.2); some clients do so on Unix sockets.
    guard index < range.end else { return true }
    if bytes.byte(index) == UInt8(ascii: "[") {
        index &+= 1
        let start = index
        while index < range.end, ByteClass.has(bytes.byte(index), ByteClass.literal) { index &+= 1 }
        guard index > start, index < range.end, bytes.byte(index) == UInt8(ascii: "]") else { return false }
        index &+= 1
    } else {
        let start = index
        while index < range.end, ByteClass.has(bytes.byte(index), ByteClass.host) { index &+= 1 }
        guard index > start else { return false }
    }
    guard index < range.end else { return true }
    guard bytes.byte(index) == UInt8(ascii: ":") else { return false }
    index &+= 1
    // "host:" with an empty port is legal. Five digits hold every port there is.
    guard range.end &- index <= 5 else { return false }
    while index < range.end {
        guard isDigit(bytes.byte(index)) else { return false }
        index &+= 1
    }
    return true
}
