/// Text as a part of a URL: everything but unreserved characters is percent-encoded (RFC 3986 §2.3).
enum URLText {
    static func encode(_ text: String) -> String {
        var encoded: [UInt8] = []
        let digits = Array("0123456789ABCDEF".utf8)
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                encoded.append(byte)
            default: encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 0xF)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    /// `?name=value&…` of the pairs that have a value, or nothing.
    static func query(_ pairs: [(name: String, value: String?)]) -> String {
        let parts = pairs.compactMap { pair in pair.value.map { "\(encode(pair.name))=\(encode($0))" } }
        return parts.isEmpty ? "" : "?" + parts.joined(separator: "&")
    }
}
