/// Makes credentials that are well formed and belong to nobody: a server has to look for each.
///
/// With 64 random bits of id, one of 10⁷ that exist is hit once in 10¹² and then has another secret.
package struct UnknownCredential: Sendable {
    private let prefix: [UInt8]
    private let checksum = Checksum()

    /// - Parameter prefix: the five bytes that the store's credentials begin with, such as `iik1_`.
    package init(prefix: [UInt8]) {
        precondition(prefix.count == CredentialLayout.prefixCount, "a credential's prefix has five bytes")
        self.prefix = prefix
    }

    var kind: UInt8 { prefix[CredentialLayout.kindOffset] }

    /// Writes 66 bytes.
    package func write(into bytes: inout [UInt8], at offset: Int, _ random: inout SplitMix64) {
        for index in prefix.indices { bytes[offset + index] = prefix[index] }
        Base62.write(random.next(), CredentialLayout.idCount, into: &bytes, at: offset + CredentialLayout.idOffset)
        bytes[offset + CredentialLayout.separatorOffset] = CredentialLayout.separator
        Base62.writeRandom(
            CredentialLayout.secretCount, into: &bytes, at: offset + CredentialLayout.secretOffset, &random)
        let checked = offset..<offset + CredentialLayout.checksumOffset
        let crc = checksum.crc32(bytes.span.extracting(checked))
        Base62.write(
            UInt64(crc), CredentialLayout.checksumCount, into: &bytes, at: offset + CredentialLayout.checksumOffset)
    }
}
