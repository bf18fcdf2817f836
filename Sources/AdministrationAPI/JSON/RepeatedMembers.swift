/// Finds a member that stands twice in one object.
///
/// RFC 8259 §4 leaves open which of two equal names counts, so a proxy and this service could understand one request
/// differently (RFC 7493 §2.3 forbids it). `JSONDecoder` does not tell. This scan runs before it, without recursion;
/// on bytes that are not JSON it may find nothing, since the decoder refuses those itself. Names with a backslash are
/// refused: no name of this API needs one, and the scan can then compare bytes.
enum RepeatedMembers {
    /// Nested deeper than any request of this API.
    static let depthMax = 32

    static func fault(in bytes: [UInt8]) -> MalformedRequest? {
        // One entry per open bracket: the names seen in that object, nil for an array.
        var open: [Set<ArraySlice<UInt8>>?] = []
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                guard open.count < depthMax else { return MalformedRequest(.notJSON, member: nil) }
                open.append(bytes[index] == UInt8(ascii: "{") ? [] : nil)
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                _ = open.popLast()
            case UInt8(ascii: "\""):
                let (content, next) = string(in: bytes, from: index + 1)
                index = next
                guard let depth = open.indices.last, open[depth] != nil, isName(in: bytes, after: next) else {
                    continue
                }
                if content.contains(UInt8(ascii: "\\")) { return MalformedRequest(.unknownMember, member: nil) }
                if open[depth]?.insert(content).inserted == false {
                    let name = String(decoding: content, as: UTF8.self)
                    return MalformedRequest(.repeatedMember, member: MalformedRequest.safeName(name))
                }
                continue
            default: break
            }
            index += 1
        }
        return nil
    }

    /// The raw content of a string and the index after its closing quote.
    private static func string(in bytes: [UInt8], from start: Int) -> (ArraySlice<UInt8>, Int) {
        var index = start
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        let end = min(index, bytes.count)
        return (bytes[start..<end], end + 1)
    }

    /// Whether a colon follows: the string was a name and not a value.
    private static func isName(in bytes: [UInt8], after start: Int) -> Bool {
        var index = start
        while index < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[index]) { index += 1 }
        return index < bytes.count && bytes[index] == UInt8(ascii: ":")
    }
}
