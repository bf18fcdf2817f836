/// Suggests names that were probably meant by a mistyped one.
public enum NearNames {
    /// - Parameters:
    ///   - text: the mistyped name.
    ///   - countMax: most names to return, nearest first.
    /// - Returns: the `names` within a few edits of `text`, ignoring case: one edit for up to four bytes, two for up to
    ///   eight, else three.
    public static func nearest(
        to text: String, among names: some Sequence<String>, countMax: Int = 3
    ) -> [String] {
        var search = NearNameSearch(text, countMax: countMax)
        for name in names { search.consider(name) }
        return search.found
    }
}

/// Suggests names that were probably meant, from names that are supplied one by one, possibly millions.
public struct NearNameSearch: Sendable {
    private let wanted: [UInt8]
    private let editsMax: Int
    private let countMax: Int
    private var best: [(edits: Int, name: String)] = []

    public init(_ text: String, countMax: Int = 3) {
        wanted = Array(text.lowercased().utf8)
        editsMax = wanted.count <= 4 ? 1 : wanted.count <= 8 ? 2 : 3
        self.countMax = countMax
    }

    public mutating func consider(_ name: String) {
        // Byte counts differ by at most what lower-casing and the edits can change.
        guard abs(name.utf8.count - wanted.count) <= editsMax + 2 else { return }
        guard let edits = Self.edits(wanted, Array(name.lowercased().utf8), max: editsMax) else { return }
        best.append((edits, name))
        best.sort { ($0.edits, $0.name) < ($1.edits, $1.name) }
        if best.count > countMax { best.removeLast() }
    }

    /// Nearest first.
    public var found: [String] { best.map { $0.name } }

    /// Insertions, deletions, substitutions and transpositions (optimal string alignment); nil for more than `max`.
    private static func edits(_ a: [UInt8], _ b: [UInt8], max: Int) -> Int? {
        var beforeLast = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var least = Swift.min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = Swift.min(least, beforeLast[j - 1] + 1) }
                row.append(least)
            }
            if row.allSatisfy({ $0 > max }) { return nil }
            (beforeLast, last) = (last, row)
        }
        return last[b.count] <= max ? last[b.count] : nil
    }
}
