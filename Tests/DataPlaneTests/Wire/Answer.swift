import CredentialModel
import Foundation

/// One HTTP answer, exactly as it came.
struct Answer: Sendable {
    let bytes: [UInt8]
    let version: String
    let status: Int
    let reason: String
    let fields: [(name: String, value: String)]
    let body: [UInt8]

    struct Malformed: Error {
        let what: String
    }

    /// Reads the answer at the front of `bytes`, strictly. Nil while bytes are missing.
    /// - Parameter isHead: whether it answers HEAD, so that no body follows.
    init?(reading bytes: [UInt8], isHead: Bool) throws {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8))?.lowerBound else { return nil }
        let head = bytes[..<end]
        guard head.allSatisfy({ $0 == 13 || $0 == 10 || (0x20...0x7E).contains($0) }) else {
            throw Malformed(what: "the head is not ASCII")
        }
        let lines = String(decoding: head, as: UTF8.self).components(separatedBy: "\r\n")
        guard !lines.contains(where: { $0.contains("\r") || $0.contains("\n") || $0.isEmpty }) else {
            throw Malformed(what: "a line has no proper end")
        }
        let status = lines[0].split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard status.count == 3, let code = Int(status[1]), (100...599).contains(code) else {
            throw Malformed(what: "status line: \(lines[0])")
        }
        version = status[0]
        self.status = code
        reason = status[2]
        fields = try lines.dropFirst().map { line in
            guard let colon = line.firstIndex(of: ":") else { throw Malformed(what: "field: \(line)") }
            return (String(line[..<colon]), line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces))
        }
        let lengths = fields.filter { $0.name.lowercased() == "content-length" }
        var length = 0
        if code >= 200 {
            guard lengths.count == 1, let stated = Int(lengths[0].value) else { throw Malformed(what: "length") }
            length = isHead ? 0 : stated
        }
        let start = end + 4
        guard bytes.count >= start + length else { return nil }
        body = Array(bytes[start..<start + length])
        self.bytes = Array(bytes[..<(start + length)])
    }

    /// All values of a field.
    func values(_ name: String) -> [String] {
        fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }

    /// The value of a field that is there once.
    subscript(name: String) -> String? {
        let values = values(name)
        return values.count == 1 ? values[0] : nil
    }

    var text: String { String(decoding: body, as: UTF8.self) }

    /// All of it but the one thing that may differ between two equal answers.
    var withoutDate: String {
        String(decoding: bytes, as: UTF8.self).components(separatedBy: "\r\n")
            .filter { !$0.hasPrefix("Date: ") }.joined(separator: "\r\n")
    }

    /// Its `Date`, if that is spelled as RFC 9110 §5.6.7 prefers.
    var date: UnixSeconds? {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(identifier: "GMT")
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        guard let text = self["Date"], let time = format.date(from: text), format.string(from: time) == text else {
            return nil
        }
        return UnixSeconds(Int64(time.timeIntervalSince1970))
    }

    /// The body through a JSON parser that is not ours.
    func json() throws -> [String: Any] {
        guard let object = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] else {
            throw Malformed(what: "no object")
        }
        return object
    }

    /// Whether an introspection said so, and in so many words.
    var isActive: Bool { status == 200 && text.hasPrefix("{\"active\":true,") }
    var isInactive: Bool { status == 200 && text == "{\"active\":false}" }
}
