import CredentialModel
public import LMDB

extension StoreWriter {
    /// What a subject has agreed to for a client, as this transaction sees it.
    public func consent(
        of subject: [UInt8], to client: UInt32, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Consent? {
        let key = Consent.key(subject, client)
        let row = try naming { () throws -> [UInt8]? in
            try transaction.get(schema.consents, key: key.octets) { $0.copied() }
        }
        guard let row else { return nil }
        guard let consent = Consent(key: key.octets, row: row.octets) else { throw .corrupt(table: "consents") }
        return consent
    }

    public func setConsent(_ consent: Consent, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try put(schema.consents, Consent.key(consent.subject, consent.client), consent.row, in: transaction)
        try journal(.consentChanged, subject: consent.subject, in: transaction)
    }

    /// - Returns: whether there was one.
    public func removeConsent(
        of subject: [UInt8], to client: UInt32, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        guard try consent(of: subject, to: client, in: transaction) != nil else { return false }
        try delete(schema.consents, Consent.key(subject, client), in: transaction)
        try journal(.consentChanged, subject: subject, in: transaction)
        return true
    }
}

extension CredentialStore {
    /// Consents of one subject, in the order of the clients' numbers.
    @available(*, noasync)
    public func consents(of subject: [UInt8]) throws(StoreFailure) -> [Consent] {
        try reading { transaction in
            let prefix = Consent.prefix(of: subject)
            var consents: [Consent] = []
            try transaction.scan(schema.consents, from: prefix.octets) { key, row in
                guard key.byteCount == prefix.count + 8, key.extracting(0..<prefix.count).elementsEqual(prefix.octets)
                else { return .stop }
                if let consent = Consent(key: key, row: row) { consents.append(consent) }
                return .next
            }
            return consents
        }
    }
}
