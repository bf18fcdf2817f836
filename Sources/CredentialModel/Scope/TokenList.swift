/// Why a list of scopes, audiences or networks was refused.
public struct ListFault: Error, Equatable, Sendable {
    /// What is wrong, for the person who sent it.
    public let reason: String

    public init(reason: String) {
        self.reason = reason
    }
}

/// Words separated by single spaces: the form in which scope and audience sets are interned and compared.
enum TokenList {
    /// Whether `list` contains `word`. Both are public values.
    static func contains(_ list: RawSpan, word: RawSpan) -> Bool {
        var start = 0
        while start < list.byteCount {
            let end = endOfWord(list, from: start)
            if list.extracting(start..<end).elementsEqual(word) { return true }
            start = end + 1
        }
        return false
    }

    /// Whether `list` contains every word of `needed`, whose words may be separated by several spaces.
    static func containsAll(_ list: RawSpan, needed: RawSpan) -> Bool {
        var start = 0
        while start < needed.byteCount {
            let end = endOfWord(needed, from: start)
            if end > start, !contains(list, word: needed.extracting(start..<end)) { return false }
            start = end + 1
        }
        return true
    }

    /// Whether the two lists have a word in common.
    static func intersects(_ left: RawSpan, _ right: RawSpan) -> Bool {
        var start = 0
        while start < left.byteCount {
            let end = endOfWord(left, from: start)
            if end > start, contains(right, word: left.extracting(start..<end)) { return true }
            start = end + 1
        }
        return false
    }

    /// The same for lists of resource URIs in any spelling. Used only when no words are identical.
    static func intersectsAsResources(_ left: RawSpan, _ right: RawSpan) -> Bool {
        var start = 0
        while start < left.byteCount {
            let end = endOfWord(left, from: start)
            if end > start, containsResource(right, left.extracting(start..<end)) { return true }
            start = end + 1
        }
        return false
    }

    private static func containsResource(_ list: RawSpan, _ uri: RawSpan) -> Bool {
        var start = 0
        while start < list.byteCount {
            let end = endOfWord(list, from: start)
            if ResourceURI.areSame(list.extracting(start..<end), uri) { return true }
            start = end + 1
        }
        return false
    }

    private static func endOfWord(_ list: RawSpan, from start: Int) -> Int {
        var end = start
        while end < list.byteCount, list.byte(at: end) != 0x20 { end &+= 1 }
        return end
    }
}
