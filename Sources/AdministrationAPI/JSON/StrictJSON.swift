public import Foundation

/// Reads and writes the JSON of the administration API.
///
/// Requests are read strictly: one spelling of a member, nothing unknown, nothing twice, no other type. A request that
/// asks for something this version does not know must fail and not do half of it. Answers are read leniently, so that
/// an older command line understands a newer server.
public enum StrictJSON {
    public static let mediaType = "application/json"
    /// Of edits (RFC 7396).
    public static let patchMediaType = "application/merge-patch+json"

    /// Reads a request body.
    ///
    /// - Throws: ``MalformedRequest``, which names the member and never holds a value.
    public static func decode<Request: Decodable>(
        _ type: Request.Type, from bytes: [UInt8]
    ) throws(MalformedRequest) -> Request {
        // A decoder may put U+FFFD where the bytes are wrong: two different names would become one.
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

    /// Reads an answer; members that are not known are passed over.
    public static func decodeAnswer<Answer: Decodable>(_ type: Answer.Type, from bytes: Data) throws -> Answer {
        try JSONDecoder().decode(type, from: bytes)
    }

    /// Writes a value on one line, members in alphabetical order so that equal values are equal bytes.
    public static func encode(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(value)
    }
}

extension Unicode {
    /// Whether these bytes are UTF-8 without a fault (Unicode 15 §3.9, table 3-7).
    static func isWellFormed(_ bytes: [UInt8]) -> Bool { String(validating: bytes, as: UTF8.self) != nil }
}
