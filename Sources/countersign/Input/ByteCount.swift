/// A size as people write it: `512KiB`, `256MiB`, `16GiB`, `1TiB`.
struct ByteCount: Equatable, Sendable {
    let bytes: Int

    init?(_ text: String) {
        for (unit, shift) in [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)] where text.hasSuffix(unit) {
            let digits = text.dropLast(unit.count)
            guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let count = Int(digits)
            else {
                return nil
            }
            let (product, overflow) = count.multipliedReportingOverflow(by: 1 << shift)
            guard !overflow else { return nil }
            bytes = product
            return
        }
        return nil
    }

    /// The shortest whole spelling, for messages.
    static func text(_ bytes: Int) -> String {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] where bytes >= 1 << shift {
            let count = Double(bytes) / Double(1 << shift)
            return bytes % (1 << shift) == 0 ? "\(bytes >> shift) \(unit)" : "\((count * 10).rounded() / 10) \(unit)"
        }
        return "\(bytes) bytes"
    }
}
