/// Finds native credentials in a text of any kind: a dump, a log, a repository.
///
/// Whatever vendor: two letters, kind, version, separators, digits, and a checksum that is right, which of 4 × 10⁹ accidents
/// one is. Text may come in pieces; what lies across two is found too.
public struct CredentialScanner: Sendable {
    public struct Find: Sendable {
        /// Lines from 1 on.
        public let line: Int
        public let text: SecretText
    }

    private var rest: [UInt8] = []
    private var line = 1

    public init() {}

    /// What of a piece, with what the one before left over, is a credential.
    public mutating func scan(_ piece: [UInt8]) -> [Find] {
        rest.append(contentsOf: piece)
        var finds: [Find] = []
        var index = 0
        // What is left must not be enough for a credential: then none is looked at twice.
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
