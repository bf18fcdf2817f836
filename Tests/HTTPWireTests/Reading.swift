import HTTPWire

/// One request as plain values.
struct Parsed: Equatable {
    var method: Method
    var path: String
    var query: String?
    var minorVersion = 1
    var keepAlive = true
    var fields: [String] = []
    var body = ""
    var consumed = 0
}

/// Parses text with at least one complete request.
func parse(_ text: String, limits: WireLimits = WireLimits()) throws(WireFault) -> Parsed? {
    var parser = RequestParser(limits: limits)
    let bytes = Array(text.utf8)
    switch parser.parse(bytes.span.bytes) {
    case .request(let consumed): return describe(parser, bytes.span.bytes, consumed)
    case .fault(let fault): throw fault
    case .needMore, .continueExpected: return nil
    }
}

/// The result of a new parser for text that arrives at once.
func step(_ text: String, limits: WireLimits = WireLimits()) -> RequestParser.Step {
    var parser = RequestParser(limits: limits)
    let bytes = Array(text.utf8)
    return parser.parse(bytes.span.bytes)
}

/// The fault of text, if it has one.
func fault(_ text: String, limits: WireLimits = WireLimits()) -> WireFault? {
    if case .fault(let fault) = step(text, limits: limits) { fault } else { nil }
}

/// A request with these fields, Host included.
func request(_ fields: String..., body: String = "", line: String = "POST /x HTTP/1.1") -> String {
    "\(line)\r\nHost: a\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n" + body
}

func describe(_ parser: borrowing RequestParser, _ bytes: RawSpan, _ consumed: Int) -> Parsed {
    var parsed = Parsed(method: parser.request.method, path: text(bytes.slice(parser.request.path)))
    parsed.query = parser.request.query.map { text(bytes.slice($0)) }
    parsed.minorVersion = Int(parser.request.minorVersion)
    parsed.keepAlive = parser.request.keepAlive
    for index in 0..<parser.request.fieldCount {
        let name = text(bytes.slice(parser.request.name(at: index)))
        parsed.fields.append(name + "=" + text(bytes.slice(parser.request.value(at: index))))
    }
    parsed.body = parser.withBody(in: bytes, text)
    parsed.consumed = consumed
    return parsed
}

func text(_ bytes: RawSpan) -> String {
    String(decoding: copy(bytes), as: UTF8.self)
}

func copy(_ bytes: RawSpan) -> [UInt8] {
    bytes.withUnsafeBytes { [UInt8]($0) }
}

/// Calls `body` with the bytes of a string.
func withBytes<Value>(_ text: String, _ body: (RawSpan) throws -> Value) rethrows -> Value {
    let bytes = Array(text.utf8)
    return try body(bytes.span.bytes)
}
