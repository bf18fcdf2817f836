public import CredentialModel
import CredentialStore
import LMDB
import RecordCache

extension Issuer {
    /// Creates one or more API keys with the same properties.
    /// - Returns: the keys with their secret texts, which are not stored.
    /// - Throws: ``IssuanceError/invalid(field:reason:)`` for an invalid request, ``IssuanceError/forbidden(reason:field:)`` for
    ///   one that exceeds the caller's rights or limits. Either all keys are created or none.
    public func createKeys(_ request: KeyRequest) async throws(IssuanceError) -> [IssuedCredential] {
        let count = request.count ?? 1
        guard (1...KeyRequest.countMax).contains(count) else {
            throw .invalid(field: "count", reason: "must be 1 to \(KeyRequest.countMax)")
        }
        let traits = try KeyTraits(request, issuer: self)
        let action = AuditedAction(.keysCreated, owner: request.owner)
        return try await issue(.apiKey, count: count, owner: traits.owner, as: action) { writer, transaction, row in
            try traits.apply(to: &row, writer, in: transaction)
        }
    }

    /// Changes a key's permissions and validity, but not its secret. Restrictions are in force when this returns.
    /// - Throws: ``IssuanceError/gone(reason:)`` for a key that is revoked or expired; ``IssuanceError/invalid(field:reason:)``;
    ///   ``IssuanceError/forbidden(reason:field:)`` for an edit that exceeds the caller's rights or limits.
    public func editKey(_ id: CredentialID, _ edit: KeyEdit) async throws(IssuanceError) -> CredentialSummary {
        let properties = try CheckedProperties(edit.properties, by: authority)
        let (policy, authority) = (policy, authority)
        let edited = try await mutate(creates: true) { writer, transaction in
            guard let old = try writer.credential(id, in: transaction), old.record.kind == .apiKey else {
                throw IssuanceError.unknownCredential
            }
            // The rights before the edit. Those after it are the same, or are the new scope, which was checked above.
            try authority.requireMayGrant(rightsOf: old.record, in: writer)
            try writer.requireAlive(old, in: transaction)
            var new = old
            if edit.expiresAt != .unchanged {
                new.record.expiresAt =
                    if case .set(let end) = edit.expiresAt { try RequestText.time(end, field: "exp") } else { .never }
                guard new.record.expiresAt > writer.now else {
                    throw IssuanceError.invalid(field: "exp", reason: "is in the past: to end a key now, revoke it")
                }
                guard !old.record.flags.contains(.superseded) || new.record.expiresAt <= old.record.expiresAt else {
                    throw IssuanceError.conflict(reason: "was rotated: its overlap can be shortened, not extended")
                }
                if let secondsMax = policy.keySecondsMax, new.record.expiresAt > old.record.issuedAt.adding(secondsMax)
                {
                    throw IssuanceError.invalid(field: "exp", reason: "keys may live \(secondsMax) seconds at most")
                }
            }
            try properties.change(&new)
            try authority.requireMayEdit(old.record, to: new.record, with: properties, in: writer)
            try properties.intern(for: &new, writer, in: transaction)
            try writer.replace(old, by: new, event: .edited, in: transaction)
            let changed = properties.names + (edit.expiresAt == .unchanged ? [] : ["exp"])
            let action = AuditedAction(.keyEdited, credentials: [id], changed: changed)
            try writer.audit(action, by: authority.actor, in: transaction)
            return new
        }
        return summary(edited)
    }
}

/// The checked properties of a key from a request that creates, imports or edits it.
struct CheckedProperties: Sendable {
    private let properties: KeyProperties
    let scope: ScopeSet?
    let audience: AudienceSet?
    let networks: NetworkSet?

    /// - Throws: ``IssuanceError/invalid(field:reason:)``; ``IssuanceError/forbidden(reason:field:)`` for a right that
    ///   `authority` lacks.
    init(_ requested: KeyProperties, by authority: Authority) throws(IssuanceError) {
        var properties = requested
        // An empty text removes the member, as `null` does.
        properties.name = try requested.name.map { name throws(IssuanceError) in try RequestText.name(name) }
        properties.description = try requested.description.map { text throws(IssuanceError) in
            try RequestText.description(text)
        }
        properties.notBefore = try requested.notBefore.map { time throws(IssuanceError) in
            try RequestText.time(time, field: "nbf")
        }
        self.properties = properties
        scope = try requested.scope.map { scope throws(IssuanceError) in
            try IssuanceError.list("scope") { () throws(ListFault) in try ScopeSet(scope) }
        }
        audience = try requested.audience.map { audience throws(IssuanceError) in
            try IssuanceError.list("aud") { () throws(ListFault) in try AudienceSet(audience) }
        }
        networks = try requested.networks.map { networks throws(IssuanceError) in
            try IssuanceError.list("network") { () throws(ListFault) in try NetworkSet(networks) }
        }
        if let scope { try authority.requireMayGrant(scope.tokens) }
    }

    /// The names in the administration API of the members that the request sets or removes.
    var names: [String] {
        var names: [String] = []
        if properties.name != .unchanged { names.append("name") }
        if properties.description != .unchanged { names.append("description") }
        if scope != nil { names.append("scope") }
        if audience != nil { names.append("aud") }
        if networks != nil { names.append("network") }
        if properties.notBefore != .unchanged { names.append("nbf") }
        return names
    }

    /// Changes the members that are stored in the row itself. Its end must be set before.
    func change(_ row: inout StoredCredential) throws(IssuanceError) {
        row.name = properties.name.applied(to: row.name)
        row.description = properties.description.applied(to: row.description)
        row.record.notBefore = properties.notBefore.applied(to: row.record.notBefore) ?? .always
        guard row.record.notBefore < row.record.expiresAt else {
            throw .invalid(field: "nbf", reason: "must be before the end of the key's lifetime")
        }
    }

    /// Changes the interned sets that a row refers to. This writes to the store, so all checks must come before.
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

/// The checked properties that all keys of a request have in common.
struct KeyTraits: Sendable {
    let owner: [UInt8]
    private let properties: CheckedProperties
    private let seconds: Int64?
    /// The limits of the caller.
    private let limits: Limits

    /// - Throws: ``IssuanceError/invalid(field:reason:)`` for an invalid request; ``IssuanceError/forbidden(reason:field:)``
    ///   for one that exceeds the caller's rights or limits.
    init(_ request: KeyRequest, issuer: Issuer) throws(IssuanceError) {
        let now = issuer.store.clock.now()
        owner = try RequestText.owner(request.owner, field: "owner")
        seconds = try issuer.policy.keySeconds(requested: request.expiresInSeconds, at: now)
        properties = try CheckedProperties(request.properties, by: issuer.authority)
        limits = issuer.authority.limits
        // Applied to a row that is thrown away, so that a bad request is refused before it waits for the writer.
        var trial = StoredCredential(record: .blank, owner: owner, name: nil)
        try fill(&trial, at: now)
    }

    /// Completes the row of a key that is issued now.
    ///
    /// The request was within the end of the caller's credential when it was checked. If it has waited since, the key ends
    /// together with that credential.
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
