/// Finds native credentials in any kind of text: a dump, a log, a repository.
///
/// Accepts any vendor: two letters, kind, version, separators, digits, and a valid checksum, which random text has once in 4
/// × 10⁹ cases. Text may be passed in pieces; credentials that span two pieces are found too.
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
