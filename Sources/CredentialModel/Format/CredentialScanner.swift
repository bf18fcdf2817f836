/// Finds native credentials in any kind of text: a dump, a log, a repository.
///
/// Accepts any vendor: two letters, kind, version, separators, digits, and a valid checksum, which random text has once
/// in 4 × 10⁹ cases. Text may be passed in pieces; credentials that span two pieces are found too.
public struct CredentialScanner: Sendable {
    public struct Find: Sendable {
        /// Line number, from 1.
        public let line: Int
        public let text: SecretText
    }

    private var rest: [UInt8] = []
    private var line = 1

    public init() {}

    /// The credentials that end in this piece.
    public mutating func scan(_ piece: [UInt8]) -> [Find] {
        rest.append(contentsOf: piece)
        var finds: [Find] = []
        var index = 0
        // The remainder is too short for a credential, so no position is examined twice.
        while index + CredentialFormat.byteCount <= rest.count {
            if rest[index] == 0x0A { line += 1 }
            if let find = find(at: index) {
                finds.append(find)
                index += CredentialFormat.byteCount
            } else {
                index += 1
            }
        }
        rest.removeFirst(index)
        return finds
    }

    private func find(at index: Int) -> Find? {
        guard rest[index + 4] == 0x5F, rest[index + 16] == 0x5F, rest[index + 3] == 0x31 else { return nil }
        let bytes = Array(rest[index..<index + CredentialFormat.byteCount])
        guard let vendor = Vendor(String(decoding: bytes.prefix(2), as: UTF8.self)),
            NativeCredential(bytes.octets, vendor: vendor) != nil
        else { return nil }
        return Find(line: line, text: SecretText(bytes))
    }
}

/// Finds possible keys of other systems in any kind of text. Such keys have no format of their own, so only a
/// comparison with the imported keys can tell which are real.
///
/// Candidates are runs of letters, digits and `-._~+/` with an importable length. A key that is part of a path, follows
/// a name and `=`, ends a sentence, or has base64 padding is reported both with and without its surroundings. Text may
/// be passed in pieces.
public struct ForeignKeyScanner: Sendable {
    /// A longer run is not a key but a file on one line.
    private static let runBytesMax = 2_048

    private var run: [UInt8] = []
    private var isTooLong = false
    private var line = 1

    public init() {}

    /// The candidates that end in this piece.
    public mutating func scan(_ piece: [UInt8]) -> [CredentialScanner.Find] {
        var finds: [CredentialScanner.Find] = []
        for byte in piece {
            if Self.belongs(byte) {
                if run.count == Self.runBytesMax { isTooLong = true } else { run.append(byte) }
            } else {
                if !run.isEmpty { finds += endRun() }
                if byte == 0x0A { line += 1 }
            }
        }
        return finds
    }

    /// The candidates at the end of the text.
    public mutating func finish() -> [CredentialScanner.Find] { endRun() }

    private mutating func endRun() -> [CredentialScanner.Find] {
        defer {
            run.removeAll(keepingCapacity: true)
            isTooLong = false
        }
        guard !isTooLong, run.count >= CredentialFormat.importedBytesMin else { return [] }
        var candidates: [[UInt8]] = []
        for range in Self.parts(of: run) {
            let part = Array(run[range])
            let padding = run[range.upperBound...].prefix(2).prefix { $0 == UInt8(ascii: "=") }
            for candidate in [part, Self.withoutDots(part)] + part.split(separator: UInt8(ascii: "/")).map(Array.init) {
                candidates.append(candidate)
            }
            if !padding.isEmpty { candidates.append(part + padding) }
        }
        let line = line
        return Set(candidates).filter { CredentialFormat.isImportable($0.octets) }
            .map { CredentialScanner.Find(line: line, text: SecretText($0)) }
    }

    /// The parts between equals signs.
    private static func parts(of run: [UInt8]) -> [Range<Int>] {
        var parts: [Range<Int>] = []
        var start = 0
        for index in 0...run.count where index == run.count || run[index] == UInt8(ascii: "=") {
            if index > start { parts.append(start..<index) }
            start = index + 1
        }
        return parts
    }

    private static func withoutDots(_ part: [UInt8]) -> [UInt8] {
        var part = part
        while part.last == UInt8(ascii: ".") { part.removeLast() }
        return part
    }

    private static func belongs(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
        case UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="): true
        default: false
        }
    }
}
