import CredentialModel
import EnvoyAuthorization
import HTTPWire

/// A CheckRequest is read as a plain reader of protocol buffers reads it, or refused by both.
func checkCheckRequest(_ bytes: [UInt8]) {
    var request = CheckRequest()
    var isRead = true
    do throws(ProtobufFault) {
        try request.read(bytes.octets)
    } catch {
        isRead = false
    }
    let plain = PlainCheckRequest(bytes)
    require(isRead == (plain != nil), "one of the readers of CheckRequest takes what the other refuses")
    guard let plain, isRead else { return }
    func text(_ range: WireRange) -> [UInt8] {
        require(range, within: bytes.count)
        return Array(bytes[range.bounds])
    }
    require(text(request.method) == plain.method, "the method is another one")
    require(text(request.path) == plain.path, "the path is another one")
    require(text(request.host) == plain.host, "the host is another one")
    require(text(request.source) == plain.source, "the source is another one")
    require(request.policy.map(text) == plain.policy, "the policy is another one")
    let authorizations = plain.values(of: "authorization")
    require(request.authorizationCount == authorizations.count, "a credential was overlooked")
    require(authorizations.first.map { text(request.authorization) == $0 } ?? true, "the credential is another one")
    require(request.originCount == plain.values(of: "origin").count, "an Origin was overlooked")
    require(
        request.forwardedFor.map(text) == plain.values(of: "x-forwarded-for"), "X-Forwarded-For is read otherwise")
    require(
        request.accessControlRequestMethodCount == plain.values(of: "access-control-request-method").count,
        "a preflight is read otherwise")
    checkAnswer(bytes)
}

/// What is written of any bytes is a message, and holds them.
private func checkAnswer(_ bytes: [UInt8]) {
    let text = Array(bytes.prefix(300))
    let answer = written(capacity: 2_048) { out in
        out.append(checkStatus: .unauthenticated, "reason")
        out.append(deniedResponse: 401) { out in
            out.append(header: "www-authenticate") { $0.append(text.octets) }
        }
    }
    guard let answer else { return require(false, "an answer does not fit") }
    guard let fields = PlainMessage(answer) else { return require(false, "an answer is no message") }
    guard let denied = fields.last(2).flatMap(PlainMessage.init),
        let option = denied.last(2).flatMap(PlainMessage.init),
        let header = option.last(1).flatMap(PlainMessage.init)
    else { return require(false, "an answer has no header") }
    require(header.last(2) == text, "a header has other bytes")
}

/// Fields of one message by number, copied out the plain way.
struct PlainMessage {
    /// The bytes of what is counted; nil for numbers.
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

    /// The last field of that number, if it is counted.
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

/// What of a CheckRequest counts, read by walking whole messages; nil where something on the way is none.
struct PlainCheckRequest {
    private(set) var method: [UInt8] = []
    private(set) var path: [UInt8] = []
    private(set) var host: [UInt8] = []
    private(set) var source: [UInt8] = []
    private(set) var policy: [UInt8]?
    private var headers: [(name: String, value: [UInt8])] = []

    private struct NoMessage: Error {}

    init?(_ bytes: [UInt8]) {
        do {
            for attributes in try Self.messages(1, in: bytes) { try read(attributes) }
        } catch {
            return nil
        }
    }

    func values(of name: String) -> [[UInt8]] { headers.filter { $0.name == name }.map(\.value) }

    private mutating func read(_ attributes: [UInt8]) throws {
        guard let message = PlainMessage(attributes) else { throw NoMessage() }
        for field in message.fields {
            switch field.number {
            case 1:
                for address in try Self.messages(1, in: try Self.counted(field)) {
                    for socket in try Self.messages(1, in: address) {
                        for text in try Self.messages(2, in: socket) { source = text }
                    }
                }
            case 4: for http in try Self.messages(2, in: try Self.counted(field)) { try read(http: http) }
            case 10:
                let entry = try Self.pair(try Self.counted(field))
                if entry.name == Array("policy".utf8) { policy = entry.value }
            default: break
            }
        }
    }

    private mutating func read(http: [UInt8]) throws {
        guard let message = PlainMessage(http) else { throw NoMessage() }
        for field in message.fields {
            switch field.number {
            case 2: method = try Self.counted(field)
            case 3: note(try Self.pair(try Self.counted(field)), mayBeRaw: false)
            case 4: path = try Self.counted(field)
            case 5: host = try Self.counted(field)
            case 13:
                for header in try Self.messages(1, in: try Self.counted(field)) {
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

    private static func counted(_ field: (number: UInt64, bytes: [UInt8]?)) throws -> [UInt8] {
        guard let bytes = field.bytes else { throw NoMessage() }
        return bytes
    }

    /// All fields of that number in a message.
    private static func messages(_ number: UInt64, in bytes: [UInt8]) throws -> [[UInt8]] {
        guard let message = PlainMessage(bytes) else { throw NoMessage() }
        return try message.fields.filter { $0.number == number }.map(counted)
    }

    private static func pair(_ bytes: [UInt8]) throws -> (name: [UInt8], value: [UInt8], raw: [UInt8]) {
        guard let message = PlainMessage(bytes) else { throw NoMessage() }
        var pair: (name: [UInt8], value: [UInt8], raw: [UInt8]) = ([], [], [])
        for field in message.fields {
            switch field.number {
            case 1: pair.name = try counted(field)
            case 2: pair.value = try counted(field)
            case 3: pair.raw = try counted(field)
            default: break
            }
        }
        return pair
    }
}
