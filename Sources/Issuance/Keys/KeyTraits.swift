import CredentialModel
import CredentialStore
import LMDB
import RecordCache

/// What is chosen of a key, checked: by a creation, an import or an edit.
struct CheckedProperties: Sendable {
    private let properties: KeyProperties
    let scope: ScopeSet?
    let audience: AudienceSet?
    let networks: NetworkSet?

    /// - Throws: ``IssuanceError/invalid(field:reason:)``; ``IssuanceError/forbidden(reason:field:)`` for a right that
    ///   `authority` lacks.
    init(_ asked: KeyProperties, by authority: Authority) throws(IssuanceError) {
        var properties = asked
        properties.name = try asked.name.map { name throws(IssuanceError) in try RequestText.name(name) }
        properties.description = try asked.description.map { text throws(IssuanceError) in
            try RequestText.description(text)
        }
        properties.notBefore = try asked.notBefore.map { time throws(IssuanceError) in
            try RequestText.time(time ?? .always, field: "nbf")
        }
        self.properties = properties
        scope = try asked.scope.map { scope throws(IssuanceError) in
            try IssuanceError.list("scope") { () throws(ListFault) in try ScopeSet(scope) }
        }
        audience = try asked.audience.map { audience throws(IssuanceError) in
            try IssuanceError.list("aud") { () throws(ListFault) in try AudienceSet(audience) }
        }
        networks = try asked.networks.map { networks throws(IssuanceError) in
            try IssuanceError.list("network") { () throws(ListFault) in try NetworkSet(networks) }
        }
        if let scope { try authority.requireMayGrant(scope.tokens) }
    }

    /// The names in the administration API of what is chosen.
    var names: [String] {
        var names: [String] = []
        if properties.name != nil { names.append("name") }
        if properties.description != nil { names.append("description") }
        if scope != nil { names.append("scope") }
        if audience != nil { names.append("aud") }
        if networks != nil { names.append("network") }
        if properties.notBefore != nil { names.append("nbf") }
        return names
    }

    /// Changes what a row itself holds. Its end must be set before.
    func change(_ row: inout StoredCredential) throws(IssuanceError) {
        if let name = properties.name { row.name = name }
        if let description = properties.description { row.description = description }
        if let notBefore = properties.notBefore { row.record.notBefore = notBefore ?? .always }
        guard row.record.notBefore < row.record.expiresAt else {
            throw .invalid(field: "nbf", reason: "lies after the end of the key's life")
        }
    }

    /// Changes the sets that a row refers to. Writes, so everything must have been checked.
    func intern(
        for row: inout StoredCredential, _ writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws {
        if let scope { row.record.scopes = try writer.intern(.scopes, Array(scope.text.utf8), in: transaction) }
        if let audience {
            row.record.audiences = try writer.intern(.audiences, Array(audience.text.utf8), in: transaction)
        }
        if let networks { row.record.networks = try writer.intern(.networks, networks.bytes, in: transaction) }
    }
}

/// The checked common properties of a request's keys.
struct KeyTraits: Sendable {
    let owner: [UInt8]
    private let properties: CheckedProperties
    private let seconds: Int64?
    /// Of whoever creates the keys.
    private let limits: Limits

    /// - Throws: ``IssuanceError/invalid(field:reason:)`` for an invalid request; ``IssuanceError/forbidden(reason:field:)``
    ///   for one that exceeds what its caller may give out.
    init(_ request: KeyRequest, issuer: Issuer) throws(IssuanceError) {
        let now = issuer.store.clock.now()
        owner = try RequestText.owner(request.owner, field: "owner")
        seconds = try issuer.policy.keySeconds(asked: request.expiresInSeconds, at: now)
        properties = try CheckedProperties(request.properties, by: issuer.authority)
        limits = issuer.authority.limits
        var blank = StoredCredential(record: .blank, owner: owner, name: nil)
        try fill(&blank, at: now)
    }

    /// Makes a blank row that of a key which is issued now.
    ///
    /// The request was within its caller's end when it was checked. If it has waited since, the key ends with its caller.
    func apply(
        to row: inout StoredCredential, _ writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws {
        try fill(&row, at: writer.now, endingBy: limits.end)
        try properties.intern(for: &row, writer, in: transaction)
    }

    private func fill(
        _ row: inout StoredCredential, at now: UnixSeconds, endingBy latest: UnixSeconds = .never
    ) throws(IssuanceError) {
        row.record.issuedAt = now
        row.record.expiresAt = min(seconds.map { now.adding($0) } ?? .never, latest)
        try properties.change(&row)
        let given = Limits(
            networks: properties.networks?.networks ?? [], audience: properties.audience?.uris ?? [],
            end: row.record.expiresAt)
        try limits.requireWithin(given, end: "expires_in")
    }
}
