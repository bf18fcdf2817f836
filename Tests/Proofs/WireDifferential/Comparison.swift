// Whatever our parser accepts, NIO's accepts and frames alike; ours may refuse more. Where the two may differ, because
// of what they are for and not because of how they read bytes, the exception is named below.

/// A difference, with the bytes that show it.
public struct Difference: Error, CustomStringConvertible {
    let bytes: [UInt8]
    let what: String

    /// Ready to be turned into a test.
    public var description: String {
        "\(what)\nbytes: \(String(decoding: bytes, as: UTF8.self).debugDescription)"
    }
}

/// Compares `rounds` generated inputs.
/// - Returns: how many requests ours accepted, to show that the comparison was not empty.
/// - Throws: the first ``Difference``.
public func compare(rounds: Int, seed: UInt64) throws(Difference) -> Int {
    var generator = RequestGenerator(seed: seed)
    var accepted = 0
    for _ in 0..<rounds {
        let bytes = generator.next()
        let whole = readWithOurs(bytes, arrivals: [bytes.count])
        let pieces = readWithOurs(bytes, arrivals: generator.arrivals(of: bytes.count))
        guard whole == pieces else { throw Difference(bytes: bytes, what: "arrival matters: \(whole) or \(pieces)") }
        accepted += whole.requests.count
        try compare(whole, bytes)
    }
    return accepted
}

/// Compares what ours saw in `bytes` with what NIO sees there.
func compare(_ ours: Seen, _ bytes: [UInt8]) throws(Difference) {
    guard !ours.requests.isEmpty else { return }
    let nio = readWithNIO(withKnownMethods(bytes, ours.methods))
    for (index, request) in ours.requests.enumerated() {
        guard index < nio.requests.count else {
            throw Difference(bytes: bytes, what: "NIO refuses or still waits for \(request)")
        }
        var theirs = nio.requests[index]
        // The method was replaced for NIO's sake.
        theirs.method = request.method
        let closes = !request.keepAlive || !theirs.keepAlive
        if asksForBoth(request) || saysProxyConnection(request) || mayHaveTab(request, bytes) {
            theirs.keepAlive = request.keepAlive
        }
        guard request == theirs else {
            throw Difference(bytes: bytes, what: "ours: \(request)\nNIO:  \(theirs)")
        }
        // Behind a request that ends the connection, or asks to leave HTTP, nothing is a request any more for NIO.
        // Ours serves no upgrade, and goes on as RFC 9110 §7.8 allows.
        if closes || asksForUpgrade(request) { return }
    }
}

/// NIO knows a fixed list of methods, and reads some of them in its own way; ours takes every token.
private func withKnownMethods(_ bytes: [UInt8], _ methods: [Range<Int>]) -> [UInt8] {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"].map { Array($0.utf8) }
    var result = bytes
    for range in methods.reversed() where !known.contains(Array(bytes[range])) {
        result.replaceSubrange(range, with: Array("GET".utf8))
    }
    return result
}

private func options(_ request: SeenRequest) -> [String] {
    request.fields.filter { $0.name.lowercased() == "connection" }.flatMap { field in
        String(decoding: field.value, as: UTF8.self).split(separator: ",").map { option in
            String(option.filter { $0 != " " && $0 != "\t" }).lowercased()
        }
    }
}

/// `close` beside `keep-alive` in HTTP/1.0: NIO stays, ours closes, which is the safer reading.
private func asksForBoth(_ request: SeenRequest) -> Bool {
    let options = options(request)
    return request.minorVersion == 0 && options.contains("close") && options.contains("keep-alive")
}

/// NIO takes Proxy-Connection for Connection; RFC 9112 appendix C.2.2 advises against it.
private func saysProxyConnection(_ request: SeenRequest) -> Bool {
    request.fields.contains { $0.name.lowercased() == "proxy-connection" }
}

/// NIO does not know an option of Connection with a tab beside it, which is whitespace like any other.
private func mayHaveTab(_ request: SeenRequest, _ bytes: [UInt8]) -> Bool {
    !options(request).isEmpty && bytes.contains(UInt8(ascii: "\t"))
}

private func asksForUpgrade(_ request: SeenRequest) -> Bool {
    request.fields.contains { $0.name.lowercased() == "upgrade" } && options(request).contains("upgrade")
}
