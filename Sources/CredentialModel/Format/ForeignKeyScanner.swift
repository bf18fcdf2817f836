/// Finds possible keys of other systems in any kind of text. Such keys have no format of their own, so only a comparison
/// with the imported keys can tell which are real.
///
/// Candidates are runs of letters, digits and `-._~+/` with an importable length. A key that is part of a path, follows a
/// name and `=`, ends a sentence, or has base64 padding is reported both with and without its surroundings. Text may be
/// passed in pieces.
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
