/// Base62 with the digits in ASCII order, most significant first, padded with zeros.
enum Base62 {
    static let digits = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

    /// Writes the last `count` digits of `value`.
    static func write(_ value: UInt64, _ count: Int, into bytes: inout [UInt8], at offset: Int) {
        var rest = value
        for index in stride(from: offset + count - 1, through: offset, by: -1) {
            let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: 62)
            bytes[index] = digits[Int(remainder)]
            rest = quotient
        }
    }

    /// Writes `count` digits drawn evenly. A word gives ten: each is the integer part of what the last left, times 62.
    static func writeRandom(_ count: Int, into bytes: inout [UInt8], at offset: Int, _ random: inout SplitMix64) {
        var fraction: UInt64 = 0
        for index in 0..<count {
            if index % 10 == 0 { fraction = random.next() }
            let (digit, rest) = fraction.multipliedFullWidth(by: 62)
            bytes[offset + index] = digits[Int(digit)]
            fraction = rest
        }
    }
}
