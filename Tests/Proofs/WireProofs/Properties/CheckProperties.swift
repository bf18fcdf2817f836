import CredentialModel
import EnvoyAuthorization
import HTTPWire

/// A CheckRequest is read as a simple reader of protocol buffers reads it, or refused by both.
func checkCheckRequest(_ bytes: [UInt8]) {
    var request = CheckRequest()
    var isRead = true
    do throws(ProtobufFault) {
        try request.read(bytes.octets)
    } catch {
        isRead = false
    }
    let plain = PlainCheckRequest(bytes)
    require(isRead == (plain != nil), "one reader of CheckRequest accepts what the other refuses")
    guard let plain, isRead else { return }
    func text(_ range: WireRange) -> [UInt8] {
        require(range, within: bytes.count)
        return Array(bytes[range.bounds])
    }
    require(text(request.method) == plain.method, "the method differs")
    require(text(request.path) == plain.path, "the path differs")
    require(text(request.host) == plain.host, "the host differs")
    require(text(request.source) == plain.source, "the source differs")
    require(request.policy.map(text) == plain.policy, "the policy differs")
    let authorizations = plain.values(of: "authorization")
    require(request.authorizationCount == authorizations.count, "the number of credentials differs")
    require(authorizations.first.map { text(request.authorization) == $0 } ?? true, "the credential differs")
    require(request.originCount == plain.values(of: "origin").count, "the number of Origin fields differs")
    require(
        request.forwardedFor.map(text) == plain.values(of: "x-forwarded-for"), "X-Forwarded-For differs")
    require(
        request.accessControlRequestMethodCount == plain.values(of: "access-control-request-method").count,
        "a preflight differs")
    checkAnswer(bytes)
}

/// An answer with any bytes is a message that contains them.
private func checkAnswer(_ bytes: [UInt8]) {
    let text = Array(bytes.prefix(300))
    let answer = written(capacity: 2_048) { out in
        out.append(checkStatus: .unauthenticated, "reason")
        out.append(deniedResponse: 401) { out in
            out.append(header: "www-authenticate") { $0.append(text.octets) }
        }
    }
    guard let answer else { return require(false, "an answer does not fit") }
    guard let fields = PlainMessage(answer) else { return require(false, "an answer is not a message") }
    guard let denied = fields.last(2).flatMap(PlainMessage.init),
        let option = denied.last(2).flatMap(PlainMessage.init),
        let header = option.last(1).flatMap(PlainMessage.init)
    else { return require(false, "an answer has no header") }
    require(header.last(2) == text, "the bytes of a header differ")
}

/// The fields of one message by number, copied.
struct PlainMessage {
    /// The bytes of a length-delimited field; nil for numbers.
    private(set) var fields: [(number: UInt64, bytes: [UInt8]?)] = []

    init?(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard let key = Self.number(&rest), key >> 3 > 0 else { return nil }
            switch key % 8 {
            case 0:
                guard Self.number(&rest) != nil else { return nil }
                fields.append((key >> 3, nil))
            case 1, 5:
                let width = key % 8 == 1 ? 8 : 4
                guard rest.count >= width else { return nil }
                rest = rest.dropFirst(width)
                fields.append((key >> 3, nil))
            case 2:
                guard let count = Self.number(&rest), count <= UInt64(rest.count) else { return nil }
                fields.append((key >> 3, Array(rest.prefix(Int(count)))))
                rest = rest.dropFirst(Int(count))
            default: return nil
            }
        }
    }

    /// The last field with that number, if it is length-delimited.
    func last(_ number: UInt64) -> [UInt8]? { fields.last { $0.number == number }?.bytes }

    private static func number(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for place in 0..<10 {
            guard let byte = rest.popFirst() else { return nil }
            value |= UInt64(byte & 127) << UInt64(7 * place)
            if byte < 128 { return value }
        }
        return nil
    }
}

/// The relevant parts of a CheckRequest, read by decoding whole messages; nil if one of them is malformed.
struct PlainCheckRequest {
    private(set) var method: [UInt8] = []
    private(set) var path: [UInt8] = []
    private(set) var host: [UInt8] = []
    private(set) var source: [UInt8] = []
    private(set) var policy: [UInt8]?
    private var headers: [(name: String, value: [UInt8])] = []

    private struct Malformed: Error {}

    init?(_ bytes: [UInt8]) {
        do {
            for attributes in try Self.messages(1, in: bytes) { try read(attributes) }
        } catch {
            return nil
        }
    }

    func values(of name: String) -> [[UInt8]] { headers.filter { $0.name == name }.map(\.value) }

    private mutating func read(_ attributes: [UInt8]) throws {
        guard let message = PlainMessage(attributes) else { throw Malformed() }
        for field in message.fields {
            switch field.number {
            case 1:
                for address in try Self.messages(1, in: try Self.delimited(field)) {
                    for socket in try Self.messages(1, in: address) {
                        for text in try Self.messages(2, in: socket) { source = text }
                    }
                }
            case 4: for http in try Self.messages(2, in: try Self.delimited(field)) { try read(http: http) }
            case 10:
                let entry = try Self.pair(try Self.delimited(field))
                if entry.name == Array("policy".utf8) { policy = entry.value }
            default: break
            }
        }
    }

    private mutating func read(http: [UInt8]) throws {
        guard let message = PlainMessage(http) else { throw Malformed() }
        for field in message.fields {
            switch field.number {
            case 2: method = try Self.delimited(field)
            case 3: note(try Self.pair(try Self.delimited(field)), mayBeRaw: false)
            case 4: path = try Self.delimited(field)
            case 5: host = try Self.delimited(field)
            case 13:
                for header in try Self.messages(1, in: try Self.delimited(field)) {
                    note(try Self.pair(header), mayBeRaw: true)
                }
            default: break
            }
        }
    }

    private mutating func note(_ pair: (name: [UInt8], value: [UInt8], raw: [UInt8]), mayBeRaw: Bool) {
        let name = String(decoding: pair.name.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
        headers.append((name, mayBeRaw && !pair.raw.isEmpty ? pair.raw : pair.value))
    }

    private static func delimited(_ field: (number: UInt64, bytes: [UInt8]?)) throws -> [UInt8] {
        guard let bytes = field.bytes else { throw Malformed() }
        return bytes
    }

    /// All fields with that number in a message.
    private static func messages(_ number: UInt64, in bytes: [UInt8]) throws -> [[UInt8]] {
        guard let message = PlainMessage(bytes) else { throw Malformed() }
        return try message.fields.filter { $0.number == number }.map(delimited)
    }

    private static func pair(_ bytes: [UInt8]) throws -> (name: [UInt8], value: [UInt8], raw: [UInt8]) {
        guard let message = PlainMessage(bytes) else { throw Malformed() }
        var pair: (name: [UInt8], value: [UInt8], raw: [UInt8]) = ([], [], [])
        for field in message.fields {
            switch field.number {
            case 1: pair.name = try delimited(field)
            case 2: pair.value = try delimited(field)
            case 3: pair.raw = try delimited(field)
            default: break
            }
        }
        return pair
    }
}

/// A well-formed CheckRequest, whose parts, their number and their order are chosen by bytes: random mutations rarely
/// keep the lengths of nested messages right. Lengths may have more bytes than they need, as protocol buffers allow.
func builtCheckRequest(_ choices: [UInt8]) -> [UInt8] {
    let names = ["authorization", "Authorization", "origin", "x-forwarded-for", "access-control-request-method", "x"]
    // A few parts suffice for every order of them, and keep the fuzzer fast.
    var rest = choices.prefix(24)
    var http: [UInt8] = []
    var attributes: [UInt8] = []
    while let choice = rest.popFirst() {
        let text = Array(rest.prefix(Int(choice >> 5)))
        rest = rest.dropFirst(text.count)
        let name = Array(names[Int(choice >> 3) % names.count].utf8)
        let isLong = text.first.map { $0 & 1 == 1 } ?? false
        switch choice & 7 {
        case 0: http += field(2, text, isLong)
        case 1: http += field(4, text, isLong)
        case 2: http += field(3, field(1, name) + field(2, text, isLong))
        case 3: http += field(13, field(1, field(1, name) + field(3, text)), isLong)
        case 4: http += field(13, field(1, field(2, text) + field(1, name, isLong)))
        case 5: attributes += field(10, field(1, Array("policy".utf8)) + field(2, text), isLong)
        case 6: attributes += field(1, field(1, field(1, field(2, text))), isLong)
        default:
            // A request may consist of several parts, which are merged.
            attributes += field(4, field(2, http))
            http = []
        }
    }
    return field(1, attributes + field(4, field(2, http)))
}

private func field(_ number: UInt8, _ content: [UInt8], _ isLong: Bool = false) -> [UInt8] {
    var count: [UInt8] = []
    var left = content.count
    while left > 127 {
        count.append(UInt8(left & 127) | 128)
        left >>= 7
    }
    count += isLong ? [UInt8(left) | 128, 128, 0] : [UInt8(left)]
    return [number << 3 | 2] + count + content
}
