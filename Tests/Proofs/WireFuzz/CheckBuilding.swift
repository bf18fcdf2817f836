/// A well-formed CheckRequest whose parts, their number and their order are chosen by bytes: chance seldom keeps the lengths of
/// messages within messages right. Lengths take as many bytes as they like, which protocol buffers allow.
func builtCheckRequest(_ choices: [UInt8]) -> [UInt8] {
    let names = ["authorization", "Authorization", "origin", "x-forwarded-for", "access-control-request-method", "x"]
    // Some parts are enough for every order of them, and few make many messages a second.
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
            // Whole requests may come in several parts, which count as one.
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
