/// Walks `name=value` pairs that only `&` separates; `;` is a byte like others. Empty pairs are walked too.
struct PairCursor {
    private var position: Int
    private let end: Int

    init(_ range: WireRange) {
        position = range.start
        end = range.end
    }

    @inline(__always)
    mutating func next(in bytes: RawSpan) -> FormPair? {
        guard position <= end else { return nil }
        let start = position
        let equals = bytes.find(UInt8(ascii: "="), or: UInt8(ascii: "&"), from: start, to: end)
        let stop = bytes.find(UInt8(ascii: "&"), from: equals, to: end)
        position = stop &+ 1
        return FormPair(start: start, equals: equals, end: stop)
    }
}

/// One pair as it is spelled. Without `=` all of it is the name.
struct FormPair {
    let start: Int
    let equals: Int
    let end: Int

    var isEmpty: Bool { start == end }
    var whole: WireRange { WireRange(start, end) }
    var name: WireRange { WireRange(start, equals) }
    var value: WireRange { WireRange(min(equals &+ 1, end), end) }
}
