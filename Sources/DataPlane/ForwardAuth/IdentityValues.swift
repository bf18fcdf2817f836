import CredentialModel
import HTTPWire
import RecordCache
import Verification

/// The values of the `X-Auth-…` headers, in the one spelling that they have over every protocol: none is empty, `-` stands
/// for nothing. The record is `inout` because what is borrowed is copied first.
extension ByteWriter {
    mutating func append(subjectOf record: inout CredentialRecord, _ loop: LoopState) {
        if record.holdsWholeOwner {
            record.owner.withBytes { append(headerEncoded: $0) }
        } else {
            append(headerEncoded: loop.verifier.owner(of: record).octets)
        }
    }

    mutating func append(clientOf record: inout CredentialRecord, _ loop: LoopState) {
        loop.verifier.interned.withText(.client, record.client) { append(headerEncoded: $0) }
    }

    mutating func append(scopeOf record: inout CredentialRecord, _ loop: LoopState) {
        loop.verifier.interned.withText(.scopes, record.scopes) { append(headerEncoded: $0) }
    }

    mutating func append(typeOf record: inout CredentialRecord) {
        append(record.kind == .apiKey ? "ApiKey" : "Bearer")
    }

    mutating func append(idOf record: inout CredentialRecord) {
        append(base62: record.id.rawValue)
    }

    mutating func append(expiryOf record: inout CredentialRecord) {
        append(record.expiresAt < .never ? record.expiresAt : nil)
    }

    /// The end of a credential that has a successor already.
    mutating func append(sunsetOf record: inout CredentialRecord) {
        append(record.flags.contains(.superseded) ? record.expiresAt : nil)
    }

    private mutating func append(_ time: UnixSeconds?) {
        guard let time else { return append("-") }
        append(decimal: UInt64(clamping: time.rawValue))
    }
}
