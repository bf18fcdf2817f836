public import Foundation

/// Reads and writes the JSON of the administration API.
///
/// Requests are read strictly: a member that is unknown, repeated or of another type is refused. A request for something that
/// this version does not know must fail and not be executed in part. Answers are read leniently, so that an older command
/// line understands a newer server.
public enum StrictJSON {
    public static let mediaType = "application/json"
    /// The media type of edits, which are JSON merge patches (RFC 7396).
    public static let patchMediaType = "application/merge-patch+json"

    /// Reads a request body.
    ///
    /// - Throws: ``MalformedRequest``, which names the member and never contains its value.
    public static func decode<Request: Decodable>(
        _ type: Request.Type, from bytes: [UInt8]
    ) throws(MalformedRequest) -> Request {
        // The decoder may replace invalid bytes by U+FFFD, which would make two different names equal.
        guard Unicode.isWellFormed(bytes) else { throw MalformedRequest(.notUTF8, member: nil) }
        if let fault = RepeatedMembers.fault(in: bytes) { throw fault }
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let fault as MalformedRequest {
            throw fault
        } catch let error as DecodingError {
            throw MalformedRequest(error)
        } catch {
            throw MalformedRequest(.notJSON, member: nil)
        }
    }

    /// Reads an answer; unknown members are ignored.
    /// - Throws: `DecodingError`.
    public static func decodeAnswer<Answer: Decodable>(_ type: Answer.Type, from bytes: Data) throws -> Answer {
        try JSONDecoder().decode(type, from: bytes)
    }

    /// Writes a value on one line. The members are in alphabetical order, so that equal values have equal bytes.
    public static func encode(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(value)
    }
}

extension Unicode {
    /// Whether these bytes are well-formed UTF-8 (Unicode 15 §3.9, table 3-7).
    fileprivate static func isWellFormed(_ bytes: [UInt8]) -> Bool { String(validating: bytes, as: UTF8.self) != nil }
}

/// Finds a member that is repeated in one object.
///
/// RFC 8259 §4 does not say which of two equal names counts, so a proxy and this service could understand the same request
/// differently (RFC 7493 §2.3 forbids repeated names). `JSONDecoder` does not report them. This scan runs before it, without
/// recursion. It may find nothing in bytes that are not JSON, since the decoder refuses those itself. Names with a backslash
/// are refused: no name of this API needs one, and the scan can then compare bytes.
private enum RepeatedMembers {
    /// More than any request of this API needs.
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

    /// Whether a colon follows, so that the string is a name and not a value.
    private static func isName(in bytes: [UInt8], after start: Int) -> Bool {
        var index = start
        while index < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[index]) { index += 1 }
        return index < bytes.count && bytes[index] == UInt8(ascii: ":")
    }
}
