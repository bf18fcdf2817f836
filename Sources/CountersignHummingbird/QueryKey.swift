/// The credential that a query may carry, `api_key=KEY`. Names are decoded once: `api%5Fkey` is it, `API_KEY` is not.
enum QueryKey: Equatable {
    case absent, several, malformed
    case one(String)

    /// Parameters are parted by `&` alone.
    static func find(in target: String) -> QueryKey {
        guard let query = split(target)?.query else { return .absent }
        let found = query.utf8.split(separator: UInt8(ascii: "&")).filter(isKey)
        guard found.count <= 1 else { return .several }
        guard let pair = found.first else { return .absent }
        let value = pair.drop { $0 != UInt8(ascii: "=") }.dropFirst()
        guard let bytes = decode(value) else { return .malformed }
        let text = String(decoding: bytes, as: UTF8.self)
        return PresentedCredential.isCredential(text) ? .one(text) : .malformed
    }

    /// The target without `api_key`: what handlers and logs see of it.
    static func removed(from target: String) -> String {
        guard let (path, query) = split(target) else { return target }
        let kept = query.utf8.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false).filter {
            !isKey($0)
        }
        if kept.isEmpty { return path }
        return path + "?" + kept.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "&")
    }

    private static func split(_ target: String) -> (path: String, query: String)? {
        let whole = target.utf8.prefix { $0 != UInt8(ascii: "#") }
        guard let mark = whole.firstIndex(of: UInt8(ascii: "?")) else { return nil }
        return (
            String(decoding: whole[..<mark], as: UTF8.self),
            String(decoding: whole[whole.index(after: mark)...], as: UTF8.self)
        )
    }

    private static func isKey(_ pair: Substring.UTF8View) -> Bool {
        guard let name = decode(pair.prefix { $0 != UInt8(ascii: "=") }) else { return false }
        return name.elementsEqual("api_key".utf8)
    }

    /// Undoes the encoding of forms (WHATWG URL §5.1); nil for a `%` without two hexadecimal digits.
    private static func decode(_ text: Substring.UTF8View) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(0x20)
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        return bytes
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - 0x30
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - 0x57
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - 0x37
        default: nil
        }
    }
}
