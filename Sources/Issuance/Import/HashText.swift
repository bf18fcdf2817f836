import CredentialModel

/// Parses a hash as other systems write it: hexadecimal digits of either case, base64 or base64url (RFC 4648), with or
/// without padding.
///
/// The length tells the encoding, and parsing is strict: no mixed alphabets, no leftover bits, no surrounding text. So no
/// text is mistaken for another hash, and a truncated or corrupted text is refused.
public enum HashText {
    /// The bytes; nil when the text does not encode exactly `byteCount` bytes.
    public static func decode(_ text: [UInt8], byteCount: Int) -> [UInt8]? {
        if text.count == 2 * byteCount { return Hexadecimal.decode(text) }
        let digitCount = (byteCount * 8 + 5) / 6
        let paddedCount = (byteCount + 2) / 3 * 4
        if text.count == digitCount { return base64(text[...], byteCount: byteCount) }
        guard text.count == paddedCount, text[digitCount...].allSatisfy({ $0 == UInt8(ascii: "=") }) else { return nil }
        return base64(text[..<digitCount], byteCount: byteCount)
    }

    private static func base64(_ text: ArraySlice<UInt8>, byteCount: Int) -> [UInt8]? {
        let isStandard = text.contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "/") }
        let isURL = text.contains { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
        guard !(isStandard && isURL) else { return nil }
        let url = text.map { byte in
            switch byte {
            case UInt8(ascii: "+"): UInt8(ascii: "-")
            case UInt8(ascii: "/"): UInt8(ascii: "_")
            default: byte
            }
        }
        guard let bytes = Base64URL.decode(String(decoding: url, as: UTF8.self)), bytes.count == byteCount else {
            return nil
        }
        return bytes
    }
}
