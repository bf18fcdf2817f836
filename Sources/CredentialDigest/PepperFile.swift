import CredentialModel

/// The contents of a pepper file: the lookup secret and the peppers alive, as lines of text.
///
/// ```
/// # comment
/// lookup 64 hex digits
/// 1 64 hex digits
/// 2 64 hex digits
/// ```
///
/// The lookup secret keys the aliases of imported credentials and never rotates.
public struct PepperFile: Sendable, CustomStringConvertible, CustomReflectable {
    /// What is wrong with a pepper file. Never holds any of its bytes.
    public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
        /// The line, from 1; 0 for the file as a whole.
        public let line: Int
        public let reason: String

        public var description: String { line > 0 ? "line \(line): \(reason)" : reason }
    }

    /// Bytes that such a file may have.
    public static let bytesMax = 65_536

    public private(set) var lookup: TagKey
    private var lookupSecret: [UInt8]
    /// In order of their numbers; never empty.
    public private(set) var peppers: [Pepper]

    /// A new file with a lookup secret and pepper 1.
    public static func random() -> PepperFile? {
        guard let first = Pepper.random(number: 1) else { return nil }
        return PepperFile(lookupSecret: randomSecret(), peppers: [first])
    }

    private init(lookupSecret: [UInt8], peppers: [Pepper]) {
        self.lookupSecret = lookupSecret
        self.peppers = peppers
        lookup = TagKey(lookupSecret)
    }

    /// Reads the text form.
    /// - Throws: ``Fault`` with the line that is wrong and what it should be.
    public init(parsing text: [UInt8]) throws(Fault) {
        var lookupSecret: [UInt8]?
        var peppers: [Pepper] = []
        for (index, line) in text.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            let words = line.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D })
            guard let name = words.first, name.first != 0x23 else { continue }
            guard words.count == 2, let secret = Self.hex(words[1]), secret.count == Pepper.byteCount else {
                throw Fault(line: index + 1, reason: "expected a name and 64 hexadecimal digits")
            }
            if name.elementsEqual("lookup".utf8) {
                guard lookupSecret == nil else { throw Fault(line: index + 1, reason: "a second lookup secret") }
                lookupSecret = secret
                continue
            }
            guard name.allSatisfy({ (0x30...0x39).contains($0) }), name.first != 0x30,
                let number = UInt16(String(decoding: name, as: UTF8.self)),
                let pepper = Pepper(number: number, secret: secret)
            else { throw Fault(line: index + 1, reason: "expected `lookup` or a pepper number from 1 to 65535") }
            guard !peppers.contains(where: { $0.number == number }) else {
                throw Fault(line: index + 1, reason: "pepper \(number) stands here twice")
            }
            peppers.append(pepper)
        }
        guard let lookupSecret else { throw Fault(line: 0, reason: "no line `lookup` with 64 hexadecimal digits") }
        guard !peppers.isEmpty else {
            throw Fault(line: 0, reason: "no pepper: expected a line `1` with 64 hexadecimal digits")
        }
        guard peppers.count <= PepperRing.aliveMax else {
            throw Fault(line: 0, reason: "more than \(PepperRing.aliveMax) peppers: retire some")
        }
        self.init(lookupSecret: lookupSecret, peppers: peppers.sorted { $0.number < $1.number })
    }

    /// The text form. Secret: only for the file itself.
    public func serialized() -> [UInt8] {
        var text = "# Countersign peppers. Secret: keep this file away from the store and from its backups.\n"
        text += "lookup " + Self.hex(lookupSecret) + "\n"
        for pepper in peppers { text += "\(pepper.number) " + Self.hex(pepper.secret) + "\n" }
        return Array(text.utf8)
    }

    /// The same file with one more pepper, one higher than the highest of this file and `knownHighest`.
    ///
    /// Nil when no number is left.
    public func addingPepper(above knownHighest: UInt16) -> PepperFile? {
        let highest = max(knownHighest, peppers.last?.number ?? 0)
        guard highest < UInt16.max, let pepper = Pepper.random(number: highest + 1) else { return nil }
        return PepperFile(lookupSecret: lookupSecret, peppers: peppers + [pepper])
    }

    /// The same file without the pepper of that number.
    public func removingPepper(_ number: UInt16) -> PepperFile {
        PepperFile(lookupSecret: lookupSecret, peppers: peppers.filter { $0.number != number })
    }

    static func randomSecret() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<Pepper.byteCount).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func hex(_ digits: ArraySlice<UInt8>) -> [UInt8]? {
        guard digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        var index = digits.startIndex
        while index < digits.endIndex {
            guard let byte = UInt8(String(decoding: digits[index..<index + 2], as: UTF8.self), radix: 16),
                digits[index] != 0x2B, digits[index] != 0x2D
            else { return nil }
            bytes.append(byte)
            index += 2
        }
        return bytes
    }

    public var description: String { "\(peppers.count) peppers <redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
