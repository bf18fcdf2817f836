import CredentialModel
import CredentialStore
import LMDB

/// The validated common properties of a request's keys.
struct KeyTraits: Sendable {
    let owner: [UInt8]
    let name: String?
    private let grants: Grants
    private let seconds: Int64?
    private let notBefore: UnixSeconds

    /// - Throws: ``IssuanceError/invalid(field:reason:)`` for an invalid request.
    init(_ request: KeyRequest, issuer: Issuer, now: UnixSeconds) throws(IssuanceError) {
        owner = try RequestText.owner(request.owner, field: "owner")
        name = try RequestText.name(request.name)
        let seconds = try issuer.policy.keySeconds(asked: request.expiresInSeconds, at: now)
        self.seconds = seconds
        grants = try Grants(
            scope: request.scope, audience: request.audience, networks: request.networks,
            until: Self.end(of: seconds, from: now), by: issuer.authority)
        notBefore = try RequestText.time(request.notBefore ?? .always, field: "nbf")
        guard notBefore < Self.end(of: seconds, from: now) else {
            throw .invalid(field: "nbf", reason: "lies after the end of the key's life")
        }
    }

    /// Sets them on a key that is issued at `now`.
    func apply(
        to record: inout CredentialRecord, now: UnixSeconds, _ writer: StoreWriter,
        in transaction: borrowing WriteTransaction
    ) throws {
        record.issuedAt = now
        record.expiresAt = Self.end(of: seconds, from: now)
        record.notBefore = notBefore
        try writer.set(grants, of: &record, in: transaction)
    }

    private static func end(of seconds: Int64?, from now: UnixSeconds) -> UnixSeconds {
        seconds.map { now.adding($0) } ?? .never
    }
}
