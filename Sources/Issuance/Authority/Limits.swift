import CredentialModel
import CredentialStore
import RecordCache

/// From where, until when and for whom a credential may be used.
///
/// Nobody gives out more than he has. A result without a limit that its maker has is more, so it is refused as well:
/// narrowing it silently would give the caller something else than what was asked for.
struct Limits: Sendable {
    /// Empty: from anywhere.
    let networks: [Network]
    /// Empty: for everybody.
    let audience: [String]
    let end: UnixSeconds

    static let none = Limits(networks: [], audience: [], end: .never)

    var isNone: Bool { networks.isEmpty && audience.isEmpty && end >= .never }

    init(networks: [Network], audience: [String], end: UnixSeconds) {
        self.networks = networks
        self.audience = audience
        self.end = end
    }

    /// Those of a credential that was verified, so its sets are published.
    init(of record: CredentialRecord, in published: Published) {
        self.init(
            networks: published.interned.withText(.networks, record.networks) { NetworkSet(interned: $0).networks },
            audience: published.words(.audiences, record.audiences), end: record.expiresAt)
    }

    /// Those of a row that a transaction has read.
    /// - Throws: ``IssuanceError/busy`` if its sets were just changed and are not published yet: they would look unlimited.
    init(ofStored record: CredentialRecord, in published: Published) throws(IssuanceError) {
        self.init(of: record, in: published)
        guard record.networks == 0 || !networks.isEmpty, record.audiences == 0 || !audience.isEmpty else {
            throw .busy
        }
    }

    /// What of a request is more than its caller has.
    struct Fault {
        /// The member of the request.
        let field: String
        let limit: String

        var error: IssuanceError {
            .forbidden(
                reason: "nobody gives out more than he has: your own credential \(limit)", field: field)
        }
    }

    /// - Parameter end: the request's member for the end.
    /// - Throws: ``IssuanceError/forbidden(reason:field:)`` that names the member and the limit.
    func requireWithin(_ other: Limits, end field: String) throws(IssuanceError) {
        if let fault = fault(of: other, end: field) { throw fault.error }
    }

    /// The first limit that `other` exceeds.
    func fault(of other: Limits, end field: String) -> Fault? {
        if !networks.isEmpty {
            let isInside = other.networks.allSatisfy { inner in networks.contains { $0.holds(inner) } }
            guard isInside, !other.networks.isEmpty else {
                return Fault(field: "network", limit: "works only from \(networks.map(\.text).joined(separator: ", "))")
            }
        }
        if !audience.isEmpty {
            let isInside = other.audience.allSatisfy { inner in
                audience.contains { ResourceURI.areSame($0, inner) }
            }
            guard isInside, !other.audience.isEmpty else {
                return Fault(field: "aud", limit: "is only for \(audience.joined(separator: ", "))")
            }
        }
        return other.end <= end ? nil : Fault(field: field, limit: "ends at \(end.rawValue) (seconds since 1970)")
    }
}

extension Network {
    /// Whether every address of `other` is in this block.
    fileprivate func holds(_ other: Network) -> Bool {
        prefixBits <= other.prefixBits && contains(other.base)
    }
}
