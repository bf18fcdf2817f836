import ProofSupport

/// Generates requests that are mostly well-formed, and corrupts some of them.
public struct RequestGenerator {
    private var random: Randomness

    /// Equal seeds give equal requests.
    public init(seed: UInt64) { random = Randomness(seed: seed) }

    /// One to three requests in a row.
    public mutating func next() -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0...random.pick([0, 0, 0, 1, 2]) { bytes += request() }
        if random.chance(60) {
            for _ in 0...random.below(4) { mutate(&bytes) }
        }
        return bytes
    }

    /// Growing numbers of bytes that have arrived; the last one is all of them.
    public mutating func arrivals(of count: Int) -> [Int] {
        var arrivals = [count]
        for _ in 0..<random.below(6) { arrivals.append(random.below(count + 1)) }
        return arrivals.sorted()
    }

    private mutating func request() -> [UInt8] {
        let method = choose(
            [
                "GET", "GET", "POST", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND",
                "M-SEARCH", "SOURCE", "PRI", "BREW", "get",
            ], or: ["CONNECT", "G T", "(", ""])
        let host = choose(
            ["a", "127.0.0.1:8080", "[::1]:80", "api.example.com", "", "a_b-c~d:"],
            or: ["u@h", "a b", "[a", "a:123456"])
        let path = choose(
            [
                "/", "/oauth2/introspect", "/verify?scope=a+b&x=%20", "/a//b/../c?", "/?api_key=x&y=;z", "//h/p",
                "/a?b?c=d/e", "/{}|^\"<>\\`",
            ], or: ["*", "/p#f", "x", "/\u{E4}", ""])
        let target =
            random.chance(12) ? choose(["http://", "HTTPS://"], or: ["ftp://", "http:/"]) + host + path : path
        let version = choose(
            ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"], or: ["HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 "])
        var fields: [String] = []
        if random.chance(95) { fields.append(random.pick(["Host: ", "host:", "HOST: \t"]) + host) }
        for _ in 0..<random.below(5) { fields.append(field()) }
        let body = framed(&fields)
        fields.shuffle(using: &random)
        let lead = random.chance(4) ? "\r\n" : ""
        let head = lead + method + " " + target + " " + version + "\r\n" + fields.map { $0 + "\r\n" }.joined()
        return Array((head + "\r\n").utf8) + body
    }

    private mutating func field() -> String {
        choose(
            [
                "Accept: */*", "User-Agent: curl/8.1 (x; y)", "X-Forwarded-For: 10.0.0.1, 10.0.0.2",
                "x-original-uri: /a?b",
                "Authorization: Bearer ii", "Authorization: ApiKey  k", "Connection: keep-alive", "Connection: close",
                "Connection: Keep-Alive, Upgrade", "Connection: close, TE", "connection:,keep-alive ,x",
                "Connection: closed",
                "Upgrade: h2c", "Upgrade: websocket", "Expect: 100-continue", "Cookie: a=b; c=\"d\"",
                "Empty:", "Blank: \t ", "Trail: x \t", "High: \u{E4}\u{F6}", "A!#$%&'*+-.^_`|~9: 1", "X-Tab: a\tb",
                "Content-Type: application/x-www-form-urlencoded", "Proxy-Connection: keep-alive", "TE: trailers",
                "Trailer: x", "Keep-Alive: timeout=5", "Connection: upgrade",
            ],
            or: [
                "Host: second", "Content-Length: 3", "Transfer-Encoding: gzip", "Date : bad", " folded: x",
                "Expect: 200-ok",
                "Nul: \u{0}", ": empty", "No colon",
            ])
    }

    /// Usually one of the good ones.
    private mutating func choose(_ good: [String], or bad: [String]) -> String {
        random.pick(random.chance(3) ? bad : good)
    }

    /// Chooses a framing, adds its fields, and returns the body.
    private mutating func framed(_ fields: inout [String]) -> [UInt8] {
        let content = (0..<random.pick([0, 1, 5, 17, 120])).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        switch random.below(10) {
        case 0...2: return []
        case 3...6:
            let spelled = choose(
                ["\(content.count)", "0\(content.count) "], or: ["+5", "5,5", "", "0x5", "99999999999999999999"])
            fields.append(random.pick(["Content-Length: ", "content-length:"]) + spelled)
            return content
        default:
            let coding = choose(
                ["chunked", "Chunked "], or: ["chunked, chunked", "xchunked", "gzip, chunked", "chunked;a"])
            fields.append("Transfer-Encoding: " + coding)
            return chunked(content)
        }
    }

    private mutating func chunked(_ content: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = content[...]
        while !rest.isEmpty {
            let size = 1 + random.below(rest.count)
            bytes +=
                Array((hexadecimal(size) + chunkExtension() + "\r\n").utf8) + rest.prefix(size) + Array("\r\n".utf8)
            rest = rest.dropFirst(size)
        }
        bytes += Array((random.pick(["0", "0", "000"]) + chunkExtension() + "\r\n").utf8)
        for _ in 0..<random.pick([0, 0, 0, 1, 2]) {
            let trailer = choose(
                ["X-Sum: 1", "Etag:", "T: \t x"], or: ["Content-Length: 5", "Host: a", "bad trailer"])
            bytes += Array((trailer + "\r\n").utf8)
        }
        return bytes + Array("\r\n".utf8)
    }

    private mutating func hexadecimal(_ value: Int) -> String {
        let digits = String(value, radix: 16, uppercase: random.chance(50))
        return random.chance(10) ? "00" + digits : digits
    }

    private mutating func chunkExtension() -> String {
        guard random.chance(20) else { return "" }
        return choose(
            [";a", ";a=b", ";a=\"b c\"", ";a=\"b\\\"c\"", ";a=b;c", ";a=\"\"", ";a=\"b\";c=d"],
            or: ["; a=b", " ;a", ";", ";a=", ";a=\"\u{E4}\"", ";a=\"", ";=b", ";a=\"\t\""])
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else { return }
        let at = random.below(bytes.count)
        let special = Array("\r\n\t :;,=%?#/*0159afAF\"\\\u{0}\u{B}\u{C}\u{7F}-+".utf8)
        switch random.below(8) {
        case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes[at] = random.pick(special)
        case 2: bytes.insert(random.pick(special), at: at)
        case 3: bytes.remove(at: at)
        case 4: bytes.removeLast(random.below(bytes.count))
        case 5:
            let end = min(bytes.count, at + 1 + random.below(24))
            bytes.insert(contentsOf: Array(bytes[at..<end]), at: random.below(bytes.count + 1))
        case 6:
            let line = random.pick(["\n", "\r", "\r\r\n", "\r\n\r\n", " \r\n", "\n\n", "\r\n "])
            if let lineEnd = bytes[at...].firstIndex(of: UInt8(ascii: "\r")), lineEnd + 1 < bytes.count {
                bytes.replaceSubrange(lineEnd...(lineEnd + 1), with: Array(line.utf8))
            }
        default: bytes.swapAt(at, random.below(bytes.count))
        }
    }
}

extension Randomness {
    fileprivate mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    fileprivate mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    fileprivate mutating func pick<Element>(_ choices: [Element]) -> Element { choices[below(choices.count)] }
}
