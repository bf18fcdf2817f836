// Whatever our parser accepts, NIO's accepts with the same framing; ours may refuse more. Differences that are
// intended, because the two have different purposes, are named below.

/// A difference, with the bytes that show it.
public struct Difference: Error, CustomStringConvertible {
    let bytes: [UInt8]
    let what: String

    /// Can be pasted into a test.
    public var description: String {
        "\(what)\nbytes: \(String(decoding: bytes, as: UTF8.self).debugDescription)"
    }
}

/// Compares `rounds` generated inputs.
/// - Returns: how many requests our parser accepted, which shows that something was compared.
/// - Throws: the first ``Difference``.
public func compare(rounds: Int, seed: UInt64) throws(Difference) -> Int {
    var generator = RequestGenerator(seed: seed)
    var accepted = 0
    for _ in 0..<rounds {
        let bytes = generator.next()
        let whole = readWithOurs(bytes, arrivals: [bytes.count])
        let pieces = readWithOurs(bytes, arrivals: generator.arrivals(of: bytes.count))
        guard whole == pieces else { throw Difference(bytes: bytes, what: "pieces matter: \(whole) or \(pieces)") }
        accepted += whole.requests.count
        try compare(whole, bytes)
    }
    return accepted
}

/// Compares what our parser found in `bytes` with what NIO finds.
func compare(_ ours: Seen, _ bytes: [UInt8]) throws(Difference) {
    guard !ours.requests.isEmpty else { return }
    let nio = readWithNIO(withKnownMethods(bytes, ours.methods))
    for (index, request) in ours.requests.enumerated() {
        guard index < nio.requests.count else {
            throw Difference(bytes: bytes, what: "NIO refuses or waits for the rest of \(request)")
        }
        var theirs = nio.requests[index]
        // The method was replaced for NIO.
        theirs.method = request.method
        let closes = !request.keepAlive || !theirs.keepAlive
        if asksForBoth(request) || saysProxyConnection(request) || mayHaveTab(request, bytes) {
            theirs.keepAlive = request.keepAlive
        }
        guard request == theirs else {
            throw Difference(bytes: bytes, what: "ours: \(request)\nNIO:  \(theirs)")
        }
        // After a request that ends the connection or asks for an upgrade, NIO parses no further requests. Ours
        // supports no upgrade and continues, as RFC 9110 §7.8 allows.
        if closes || asksForUpgrade(request) { return }
    }
}

/// NIO knows a fixed list of methods and treats some of them specially; ours accepts every token.
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

/// `close` together with `keep-alive` in HTTP/1.0: NIO keeps the connection, ours closes it, which is safer.
private func asksForBoth(_ request: SeenRequest) -> Bool {
    let options = options(request)
    return request.minorVersion == 0 && options.contains("close") && options.contains("keep-alive")
}

/// NIO treats Proxy-Connection like Connection; RFC 9112 appendix C.2.2 advises against it.
private func saysProxyConnection(_ request: SeenRequest) -> Bool {
    request.fields.contains { $0.name.lowercased() == "proxy-connection" }
}

/// NIO does not recognise an option of Connection next to a tab, which is allowed whitespace.
private func mayHaveTab(_ request: SeenRequest, _ bytes: [UInt8]) -> Bool {
    !options(request).isEmpty && bytes.contains(UInt8(ascii: "\t"))
}

private func asksForUpgrade(_ request: SeenRequest) -> Bool {
    request.fields.contains { $0.name.lowercased() == "upgrade" } && options(request).contains("upgrade")
}

/// One request as either parser reports it.
public struct SeenRequest: Equatable, CustomStringConvertible {
    var method: String
    var target: String
    var minorVersion: Int
    var fields: [Field]
    var body: [UInt8]
    var keepAlive: Bool

    struct Field: Equatable {
        var name: String
        var value: [UInt8]
    }

    /// For reports of differences.
    public var description: String {
        let lines = fields.map { "\($0.name)=\(String(decoding: $0.value, as: UTF8.self).debugDescription)" }
        return "\(method) \(target) 1.\(minorVersion) keepAlive=\(keepAlive) \(lines) body=\(body)"
    }
}

/// What a parser finds in the bytes of a connection.
public struct Seen: Equatable {
    var requests: [SeenRequest] = []
    /// Whether it refused the rest; otherwise it waits for more.
    var refused = false
    /// Offsets of the methods, if known.
    var methods: [Range<Int>] = []
}

/// `WireProofs [ROUNDS] [SEED]`: exits non-zero, and shows the bytes, when the two parsers differ.
@main
struct WireProofsCommand {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst().compactMap(UInt64.init)
        let rounds = Int(arguments.first ?? 1_000_000)
        let seed = arguments.dropFirst().first ?? UInt64.random(in: 0...UInt64.max)
        print("\(rounds) rounds, seed \(seed)")
        let accepted = try compare(rounds: rounds, seed: seed)
        print("no difference; \(accepted) requests were accepted by both")
    }
}
