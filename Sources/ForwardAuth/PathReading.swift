import CredentialModel
import HTTPWire

// A rule applies to a path and to everything below it, but the path is then served by another program, which may
// normalise paths in its own way. Many programs do: letter case (file systems of Windows and macOS, IIS), trailing dots
// and spaces of a segment (Windows), percent-encoded characters that need no encoding, compatibility characters (NFKC:
// a fullwidth letter equals the plain letter). For such a program `/ADMIN` is `/admin`, while here the rule for
// `/admin` would not match, and a weaker rule would apply.
//
// So a path is compared twice: as it is, and with all these foldings applied at once. Both must select the same rule;
// otherwise the request is refused. Paths whose structure depends on the server (empty and dot segments, backslashes,
// encoded slashes) are refused before that, under any rule.

/// Whether all servers read a path as the same sequence of segments.
enum PlainPath {
    static func isPlain(_ path: RawSpan) -> Bool {
        guard path.byteCount > 0, path.byte(at: 0) == UInt8(ascii: "/") else { return false }
        var index = 1
        var start = 1
        // Whether the segment has a character that every server keeps. Without one, it could be an empty or a dot
        // segment.
        var isNamed = false
        while index < path.byteCount {
            let byte = path.byte(at: index)
            switch byte {
            case UInt8(ascii: "/"):
                guard isNamed else { return false }
                index += 1
                start = index
                isNamed = false
                continue
            case 0...0x20, 0x7F, UInt8(ascii: "\\"), UInt8(ascii: ";"), UInt8(ascii: "#"), UInt8(ascii: "?"):
                return false
            case UInt8(ascii: "%") where isRisky(path, index): return false
            default: break
            }
            switch FoldedCharacter.read(path, &index) {
            case .invalid: return false
            case .other: isNamed = true
            case .ascii(var text, let isASCII):
                while text != 0 {
                    let folded = UInt8(truncatingIfNeeded: text)
                    text >>= 8
                    if folded != UInt8(ascii: "."), folded != UInt8(ascii: " ") { isNamed = true }
                    // Some servers read it as a character that ends a segment or the path.
                    if !isASCII, isDelimiter(folded) { return false }
                }
            }
        }
        // The path of a folder ends with a slash.
        return start == path.byteCount || isNamed
    }

    private static func isDelimiter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "/"), UInt8(ascii: "\\"), UInt8(ascii: ";"), UInt8(ascii: "%"), UInt8(ascii: "?"),
            UInt8(ascii: "#"):
            true
        default: false
        }
    }

    /// An encoded `.`, `/`, `\`, `;` or `%`, an encoded unreserved character (RFC 3986 §2.3), or an invalid encoding.
    private static func isRisky(_ path: RawSpan, _ index: Int) -> Bool {
        guard let byte = path.percentByte(index, to: path.byteCount) else { return true }
        switch byte {
        case 0...0x1F, 0x7F, 0x25, 0x2D, 0x2E, 0x2F, 0x3B, 0x5C, 0x5F, 0x7E: return true
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: return true
        default: return false
        }
    }
}

/// The path of a rule, as written and folded.
struct RulePath {
    /// Without a trailing slash.
    private let written: [UInt8]
    /// Segments in lower case, decoded, without trailing dots and spaces, each after its slash.
    let folded: [UInt8]

    /// - Parameter path: plain, and ASCII.
    init(_ path: String) {
        var bytes = Array(path.utf8)
        if bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        written = bytes
        folded = Self.fold(bytes)
    }

    /// Number of bytes as written: the rule with the longest path applies.
    var count: Int { written.count }

    /// Whether a path equals this one or is below it.
    func matches(_ path: RawSpan) -> Bool {
        guard path.byteCount >= written.count else { return false }
        for index in 0..<written.count where path.byte(at: index) != written[index] { return false }
        return path.byteCount == written.count || path.byte(at: written.count) == UInt8(ascii: "/")
    }

    /// Whether a server that folds paths could read a path as this one or one below it. True whenever ``matches(_:)``
    /// is.
    func mayMatch(_ path: RawSpan) -> Bool {
        var index = 0
        var position = 0
        while position < folded.count {
            // Both are at the slash before a segment, unless the path has ended.
            guard index < path.byteCount else { return false }
            index += 1
            position += 1
            while index < path.byteCount, path.byte(at: index) != UInt8(ascii: "/") {
                guard case .ascii(var text, _) = FoldedCharacter.read(path, &index) else { return false }
                while text != 0 {
                    let byte = UInt8(truncatingIfNeeded: text)
                    text >>= 8
                    if !isSegmentEnd(position), folded[position] == byte {
                        position += 1
                    } else if !isSegmentEnd(position) || byte != UInt8(ascii: ".") && byte != UInt8(ascii: " ") {
                        return false
                    }
                }
            }
            guard isSegmentEnd(position) else { return false }
        }
        return true
    }

    private func isSegmentEnd(_ position: Int) -> Bool {
        position >= folded.count || folded[position] == UInt8(ascii: "/")
    }

    private static func fold(_ path: [UInt8]) -> [UInt8] {
        var folded: [UInt8] = []
        func dropEnd() {
            while let last = folded.last, last == UInt8(ascii: ".") || last == UInt8(ascii: " ") { folded.removeLast() }
        }
        var index = 0
        while index < path.count {
            if path[index] == UInt8(ascii: "/") {
                dropEnd()
                folded.append(UInt8(ascii: "/"))
                index += 1
            } else if case .ascii(let text, _) = FoldedCharacter.read(path.octets, &index) {
                folded.append(UInt8(truncatingIfNeeded: text))
            }
        }
        dropEnd()
        return folded
    }
}

/// A character of a path, as a server that folds may read it.
enum FoldedCharacter {
    /// Up to four characters, the first one lowest; 0 for a character that is dropped.
    case ascii(UInt32, isASCII: Bool)
    /// A character that no server folds to ASCII.
    case other
    /// Invalid: bytes that are not UTF-8 (RFC 3629 §4), or a percent sign without two digits.
    case invalid

    /// Reads the character at `index`, which is before the end of the path, and moves past it.
    static func read(_ path: RawSpan, _ index: inout Int) -> FoldedCharacter {
        guard let first = octet(path, &index) else { return .invalid }
        switch first {
        case 0x41...0x5A: return .ascii(UInt32(first | 0x20), isASCII: true)
        case 0..<0x80: return .ascii(UInt32(first), isASCII: true)
        case 0xC2...0xDF: return read(path, &index, UInt32(first & 0x1F), more: 1, least: 0x80)
        case 0xE0...0xEF: return read(path, &index, UInt32(first & 0x0F), more: 2, least: 0x800)
        case 0xF0...0xF4: return read(path, &index, UInt32(first & 0x07), more: 3, least: 0x1_0000)
        default: return .invalid
        }
    }

    private static func read(
        _ path: RawSpan, _ index: inout Int, _ bits: UInt32, more: Int, least: UInt32
    ) -> FoldedCharacter {
        var scalar = bits
        for _ in 0..<more {
            guard let byte = octet(path, &index), byte & 0xC0 == 0x80 else { return .invalid }
            scalar = scalar << 6 | UInt32(byte & 0x3F)
        }
        guard scalar >= least, scalar <= 0x10_FFFF, !(0xD800...0xDFFF).contains(scalar) else { return .invalid }
        guard let text = PathFoldingTable.reading(of: scalar) else { return .other }
        return .ascii(text, isASCII: false)
    }

    /// The byte at `index`, decoded if it is percent-encoded; nil at the end and for an invalid encoding.
    private static func octet(_ path: RawSpan, _ index: inout Int) -> UInt8? {
        guard index < path.byteCount else { return nil }
        let byte = path.byte(at: index)
        guard byte == UInt8(ascii: "%") else {
            index += 1
            return byte
        }
        guard let byte = path.percentByte(index, to: path.byteCount) else { return nil }
        index += 3
        return byte
    }
}

extension PathFoldingTable {
    /// The ASCII text to which some servers may fold a character; nil if there is none.
    static func reading(of scalar: UInt32) -> UInt32? {
        // Finds the last run that begins at or below it.
        var low = 0
        var high = runs.count / 3
        while low < high {
            let middle = (low + high) / 2
            if runs[middle * 3] <= scalar { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else { return nil }
        let offset = scalar - runs[(low - 1) * 3]
        let shape = runs[(low - 1) * 3 + 1]
        guard offset < shape >> 1 else { return nil }
        return runs[(low - 1) * 3 + 2] + (shape & 1 == 1 ? offset : 0)
    }
}
