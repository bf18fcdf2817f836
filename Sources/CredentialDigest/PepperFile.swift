import CredentialModel

/// The contents of a pepper file as lines of text: the lookup secret, the peppers in use, and keys of other systems.
///
/// ```
/// # comment
/// lookup 64 hex digits
/// 1 64 hex digits
/// 2 64 hex digits
/// hmac billing 2 to 2,048 hex digits
/// ```
///
/// The lookup secret keys the aliases of imported credentials and never rotates. A line `hmac` has a key under which
/// another system hashed its keys, with a name chosen by the operator; it is needed while any such hashes are imported.
public struct PepperFile: Sendable, CustomStringConvertible, CustomReflectable {
    /// What is wrong with a pepper file. Never contains any of its bytes.
    public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
        /// The line, from 1; 0 for the file as a whole.
        public let line: Int
        public let reason: String

        public var description: String { line > 0 ? "line \(line): \(reason)" : reason }
    }

    /// Most bytes in such a file.
    public static let bytesMax = 65_536

    public private(set) var lookup: TagKey
    private var lookupSecret: [UInt8]
    /// In order of their numbers; never empty.
    public private(set) var peppers: [Pepper]
    /// In order of their names.
    public let hmacKeys: [HMACKey]

    /// A new file with a lookup secret and pepper 1.
    public static func random() -> PepperFile? {
        guard let first = Pepper.random(number: 1) else { return nil }
        return PepperFile(lookupSecret: randomSecret(), peppers: [first], hmacSecrets: [:])
    }

    private init(lookupSecret: [UInt8], peppers: [Pepper], hmacSecrets: [String: [UInt8]]) {
        let lookup = TagKey(lookupSecret)
        self.lookupSecret = lookupSecret
        self.peppers = peppers
        self.lookup = lookup
        hmacKeys = hmacSecrets.sorted { $0.key < $1.key }.enumerated().map { place, named in
            HMACKey(name: named.key, secret: named.value, place: place, lookup: lookup)
        }
    }

    /// The schemes by which foreign keys can be imported.
    public var foreignSchemes: ForeignSchemes { ForeignSchemes(lookup: lookup, hmacKeys: hmacKeys) }

    /// Parses the text form.
    /// - Throws: ``Fault`` that names the line and what it should be.
    public init(parsing text: [UInt8]) throws(Fault) {
        var lookupSecret: [UInt8]?
        var peppers: [Pepper] = []
        var hmacSecrets: [String: [UInt8]] = [:]
        for (index, line) in text.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            let words = line.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D })
            guard let name = words.first, name.first != 0x23 else { continue }
            if name.elementsEqual("hmac".utf8) {
                let key = try Self.hmacLine(words, number: index + 1)
                guard hmacSecrets.updateValue(key.secret, forKey: key.name) == nil else {
                    throw Fault(line: index + 1, reason: "a second HMAC key of this name")
                }
                continue
            }
            guard words.count == 2, let secret = Hexadecimal.decode(words[1]), secret.count == Pepper.byteCount else {
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
        guard hmacSecrets.count <= HMACKey.countMax else {
            throw Fault(line: 0, reason: "more than \(HMACKey.countMax) HMAC keys")
        }
        self.init(
            lookupSecret: lookupSecret, peppers: peppers.sorted { $0.number < $1.number }, hmacSecrets: hmacSecrets)
    }

    private static func hmacLine(
        _ words: [ArraySlice<UInt8>], number: Int
    ) throws(Fault) -> (name: String, secret: [UInt8]) {
        guard words.count == 3, HMACKey.isName(words[1]), let secret = Hexadecimal.decode(words[2]),
            (1...HMACKey.byteCountMax).contains(secret.count)
        else {
            throw Fault(
                line: number,
                reason:
                    "expected `hmac`, a name of up to \(HMACKey.nameBytesMax) lower-case letters, digits, '-' and '_' "
                    + "that begins with a letter, and the key in hexadecimal digits")
        }
        return (String(decoding: words[1], as: UTF8.self), secret)
    }

    /// The text form. It is secret: use it only to write the file.
    public func serialized() -> [UInt8] {
        var text = "# Countersign peppers. Secret: keep this file away from the store and from its backups.\n"
        text += "lookup " + Hexadecimal.encode(lookupSecret) + "\n"
        for pepper in peppers { text += "\(pepper.number) " + Hexadecimal.encode(pepper.secret) + "\n" }
        for key in hmacKeys { text += "hmac \(key.name) " + Hexadecimal.encode(key.secret) + "\n" }
        return Array(text.utf8)
    }

    /// These contents with a new pepper, whose number is one above the highest of this file and `knownHighest`.
    ///
    /// Nil when no number is left.
    public func addingPepper(above knownHighest: UInt16) -> PepperFile? {
        let highest = max(knownHighest, peppers.last?.number ?? 0)
        guard highest < UInt16.max, let pepper = Pepper.random(number: highest + 1) else { return nil }
        return with(peppers + [pepper])
    }

    /// These contents without the pepper of that number.
    public func removingPepper(_ number: UInt16) -> PepperFile {
        with(peppers.filter { $0.number != number })
    }

    private func with(_ peppers: [Pepper]) -> PepperFile {
        var file = self
        file.peppers = peppers
        return file
    }

    static func randomSecret() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<Pepper.byteCount).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    public var description: String { "\(peppers.count) peppers <redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// A secret key of 32 bytes and the number by which records refer to it. It does not print itself.
public struct Pepper: Sendable, CustomStringConvertible, CustomReflectable {
    /// Length of every pepper.
    public static let byteCount = 32

    /// 1 to 65,535; higher is newer.
    public let number: UInt16
    let secret: [UInt8]

    /// Nil unless there are 32 bytes and the number is not 0.
    public init?(number: UInt16, secret: [UInt8]) {
        guard number > 0, secret.count == Self.byteCount else { return nil }
        self.number = number
        self.secret = secret
    }

    /// A new pepper from the system's random generator.
    public static func random(number: UInt16) -> Pepper? {
        Pepper(number: number, secret: PepperFile.randomSecret())
    }

    /// Identifies the right pepper without revealing it: an HMAC of a fixed text under the pepper.
    public var checkValue: [UInt8] {
        TagKey(secret).authenticationCode(of: Array("countersign pepper check".utf8).octets).bytes
    }

    public var description: String { "pepper \(number) <redacted>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
