import CredentialModel
public import LMDB

extension StoreWriter {
    /// A subject's consent to a client, as this transaction sees it.
    public func consent(
        of subject: [UInt8], to client: UInt32, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Consent? {
        let key = Consent.key(subject, client)
        return try schema.consents.get(key.octets, in: transaction) { Consent(key: key.octets, row: $0) }
    }

    public func setConsent(_ consent: Consent, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        noteChange()
        try schema.consents.put(Consent.key(consent.subject, consent.client), consent.row, in: transaction)
        try journal(.consentChanged, subject: consent.subject, in: transaction)
    }

    /// - Returns: whether there was one.
    public func removeConsent(
        of subject: [UInt8], to client: UInt32, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        // Does not read the row, so a damaged consent can be withdrawn too.
        let key = Consent.key(subject, client)
        guard try schema.consents.contains(key.octets, in: transaction) else { return false }
        noteChange()
        try schema.consents.delete(key, in: transaction)
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
            try schema.consents.scan(
                from: prefix.octets, in: transaction,
                within: { key in
                    key.byteCount == prefix.count + 8 && key.extracting(0..<prefix.count).elementsEqual(prefix.octets)
                },
                reading: { Consent(key: $0, row: $1) }
            ) { consent in
                consents.append(consent)
                return .next
            }
            return consents
        }
    }
}
