public import CredentialModel
public import LMDB

/// What a subject has allowed a client to do on their behalf.
public struct Consent: Sendable, Equatable {
    public let subject: [UInt8]
    /// The interned number of the client.
    public let client: UInt32
    public let scope: [String]
    public let givenAt: UnixSeconds

    public init(subject: [UInt8], client: UInt32, scope: [String], givenAt: UnixSeconds) {
        self.subject = subject
        self.client = client
        self.scope = scope
        self.givenAt = givenAt
    }

    // A row: subject, zero byte, client number → seconds, then space-separated scopes.

    static func prefix(of subject: [UInt8]) -> [UInt8] { subject + [0] }

    static func key(_ subject: [UInt8], _ client: UInt32) -> [UInt8] {
        var key = prefix(of: subject)
        key.append(bigEndian: UInt64(client))
        return key
    }

    init?(key: RawSpan, row: RawSpan) {
        guard key.byteCount >= 9, row.byteCount >= 8, let number = TableKey.lastNumber(key) else { return nil }
        self.init(
            subject: key.extracting(0..<key.byteCount - 9).copied(), client: UInt32(truncatingIfNeeded: number),
            scope: String(decoding: row.extracting(8...).copied(), as: UTF8.self).split(separator: " ").map(
                String.init),
            givenAt: UnixSeconds(Int64(bitPattern: row.word64(at: 0))))
    }

    var row: [UInt8] {
        var row: [UInt8] = []
        row.append(word64: UInt64(bitPattern: givenAt.rawValue))
        row.append(contentsOf: scope.joined(separator: " ").utf8)
        return row
    }
}

// A withdrawn consent leaves no row, and there may have been none. What somebody agreed to before the withdrawal and
// what is not a row yet, a decided sign-in on its way through a browser, must end as well. So every withdrawal leaves a
// trace in one row of `meta`:
//
// ```
// slot 0 ... slot 239      8 bytes each: a number that each withdrawal of this slot changes
// ```
//
// A keyed hash of subject and client selects the slot. A decision holds the number that it found there, and is refused
// when it finds another. Two consents may share a slot: then the withdrawal of one also ends a sign-in of the other
// that is under way at that moment, and has to begin again.
//
// The row never changes its size, so a withdrawal overwrites it in place, in a page that every commit copies anyway. It
// needs no room, and works in a full map too. A row for each withdrawal would need room that is reserved for
// revocations.

/// The row of `meta` that tells whether consents were withdrawn.
enum WithdrawalSlots {
    /// With its key, its code and LMDB's header of 8 bytes the row takes 1,947 bytes. More than 2,038, half of the
    /// smallest page, would get a separate page, which each withdrawal would copy.
    static let count = 240
    static let byteCount = 8 * count

    /// A new row. Its numbers are random: a decision that was made before its predecessor was lost finds another one.
    static func random() -> [UInt8] {
        var row: [UInt8] = []
        row.reserveCapacity(byteCount)
        for _ in 0..<count { row.append(word64: UInt64.random(in: 0...UInt64.max)) }
        return row
    }
}

extension StoreWriter {
    /// A subject's consent to a client, as this transaction sees it.
    public func consent(
        of subject: [UInt8], to client: UInt32, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Consent? {
        let key = Consent.key(subject, client)
        return try schema.consents.get(key.octets, in: transaction) { Consent(key: key.octets, row: $0) }
    }

    public func setConsent(_ consent: Consent, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try perform(.consent(consent), in: transaction)
    }

    func putRow(of consent: Consent, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try schema.consents.put(Consent.key(consent.subject, consent.client), consent.row, in: transaction)
        try journal(.consentChanged, subject: consent.subject, in: transaction)
    }

    /// Withdraws a consent, and every agreement to it that is not a row yet: ``withdrawals(of:from:in:)`` changes.
    ///
    /// Does not read the consent's row, so a damaged one can be withdrawn too.
    /// - Returns: whether there was one.
    public func removeConsent(
        of subject: [UInt8], to client: UInt32, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Bool {
        // If the row is missing or damaged, a new one ends all agreements, and no withdrawal is refused.
        if try withdrawalSlots(in: transaction) == nil {
            try perform(.meta(.withdrawals, WithdrawalSlots.random()), in: transaction)
        }
        let exists = try schema.consents.contains(Consent.key(subject, client).octets, in: transaction)
        try perform(.withdrawal(subject: subject, client: client), in: transaction)
        return exists
    }

    func withdraw(
        _ subject: [UInt8], _ client: UInt32, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let key = Consent.key(subject, client)
        guard var slots = try withdrawalSlots(in: transaction) else {
            throw schema.meta.damaged(key: MetaName.withdrawals.key.octets)
        }
        let offset = 8 * withdrawalSlot(of: key)
        var number: [UInt8] = []
        number.append(word64: slots.octets.word64(at: offset) &+ 1)
        slots.replaceSubrange(offset..<offset + 8, with: number)
        try MetaTable(schema).put(.withdrawals, slots, in: transaction)
        guard try schema.consents.contains(key.octets, in: transaction) else { return }
        try schema.consents.delete(key, in: transaction)
        try journal(.consentChanged, subject: subject, in: transaction)
    }

    /// A number that differs after each withdrawal of a subject's consent to a client. It means nothing to another
    /// incarnation of the store.
    public func withdrawals(
        of subject: [UInt8], from client: UInt32, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> UInt64 {
        // Stores of earlier versions have no row before their first withdrawal.
        guard let row = try MetaTable(schema).value(.withdrawals, in: transaction) else { return 0 }
        guard row.count == WithdrawalSlots.byteCount else {
            throw schema.meta.damaged(key: MetaName.withdrawals.key.octets)
        }
        return row.octets.word64(at: 8 * withdrawalSlot(of: Consent.key(subject, client)))
    }

    /// Nil for a row that is missing or damaged.
    private func withdrawalSlots(in transaction: borrowing WriteTransaction) throws(StoreFailure) -> [UInt8]? {
        do throws(StoreFailure) {
            let row = try MetaTable(schema).value(.withdrawals, in: transaction)
            return row?.count == WithdrawalSlots.byteCount ? row : nil
        } catch .damaged {
            return nil
        }
    }

    /// From the code that an empty row would have under the consent's key: nobody who can choose a subject or get a
    /// client registered can aim at the slot of another.
    func withdrawalSlot(of key: [UInt8]) -> Int {
        let code = schema.consents.sealed([], key: key).octets.word64(at: 0)
        return Int(code % UInt64(WithdrawalSlots.count))
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
