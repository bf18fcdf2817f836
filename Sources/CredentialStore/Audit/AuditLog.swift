import CredentialDigest
public import CredentialModel
public import LMDB

// An audit log is worth little if it can be rewritten without a trace. So each entry has a hash over the previous hash,
// its own number and its content: a changed, removed, inserted or moved entry breaks the chain at that point. The last
// number and hash are also in `meta`, so that entries removed from the end are noticed.
//
// The hash is an HMAC under the lookup secret, which is in the pepper file and never rotates. Anybody who can write the
// store's file could recompute plain SHA-256 hashes. With the secret, an attacker also needs the pepper file, which is
// kept elsewhere; whoever has both controls the service anyway. The price is that only holders of the secret can
// verify: the daemon and its operator.
//
// The chain cannot reveal a history rewritten with file *and* secret, an older file put back, or a log removed together
// with its head. A head recorded elsewhere reveals all of these, so verification accepts one.

/// Computes the hashes of the audit log.
struct AuditChain: Sendable {
    private let key: TagKey

    init(key: TagKey) {
        self.key = key
    }

    /// The previous hash of the first entry.
    static let beginning = [UInt8](repeating: 0, count: AuditRow.hashBytes)

    /// The hash of an entry.
    /// - Parameter content: its row without the hash.
    func hash(number: UInt64, content: RawSpan, after previous: [UInt8]) -> [UInt8] {
        var message = Array("countersign audit entry".utf8)
        message.reserveCapacity(message.count + 40 + content.byteCount)
        message.append(contentsOf: previous)
        message.append(word64: number)
        for offset in 0..<content.byteCount { message.append(content.byte(at: offset)) }
        return key.authenticationCode(of: message.octets).bytes
    }

    /// The head as stored in `meta`: number, hash, and a code over both.
    func headRow(_ head: AuditHead) -> [UInt8] {
        var row: [UInt8] = []
        row.append(word64: head.number)
        row.append(contentsOf: head.hash)
        return row + code(of: row)
    }

    /// The head as stored in `meta`, and whether it is genuine; nil for a malformed row.
    func head(_ row: RawSpan) -> (head: AuditHead, isGenuine: Bool)? {
        let count = 8 + AuditRow.hashBytes
        guard row.byteCount == count + AuditRow.hashBytes else { return nil }
        let head = AuditHead(number: row.word64(at: 0), hash: row.extracting(8..<count).copied())
        let code = code(of: row.extracting(0..<count).copied())
        return (head, row.extracting(count...).elementsEqual(code.octets))
    }

    private func code(of head: [UInt8]) -> [UInt8] {
        let message = Array("countersign audit head".utf8) + head
        return key.authenticationCode(of: message.octets).bytes
    }
}

/// The end of an audit log: the last entry and its hash. Recorded elsewhere, it later shows whether the log still has
/// all the entries up to it.
public struct AuditHead: Sendable, Equatable, CustomStringConvertible {
    public var number: UInt64
    public var hash: [UInt8]

    init(number: UInt64, hash: [UInt8]) {
        self.number = number
        self.hash = hash
    }

    /// Parses `NUMBER:HASH`; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let number = UInt64(parts[0]), let hash = Hexadecimal.decode(parts[1].utf8),
            hash.count == AuditRow.hashBytes
        else { return nil }
        self.init(number: number, hash: hash)
    }

    public var description: String { "\(number):\(Hexadecimal.encode(hash))" }
}

extension AuditEntry {
    /// The head of the log, if this is its last entry.
    public var head: AuditHead { AuditHead(number: number, hash: hash) }
    /// Its hash in hexadecimal digits.
    public var hashText: String { Hexadecimal.encode(hash) }
}

/// The result of verifying an audit log.
public struct AuditReport: Sendable, Equatable {
    /// The first entry at which the chain is broken, and why.
    public struct Fault: Sendable, Equatable {
        public var number: UInt64
        public var reason: String
    }

    /// Intact entries, from the first on.
    public var entries: UInt64 = 0
    /// The last of them; nil for a log without entries.
    public var head: AuditHead?
    /// Nil when the whole log is intact.
    public var fault: Fault?
}

extension StoreWriter {
    /// Records who did what, in the transaction that does it: neither exists without the other.
    public func audit(
        _ audited: AuditedAction, by actor: AuditActor, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let content = AuditRow.content(audited, by: actor, at: now, journalNumber: journalNumber)
        try perform(.audit(content), in: transaction)
    }

    /// Appends to the audit log, whose numbers only rise.
    func putAudit(_ content: [UInt8], in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        let (known, last) = try convertingErrors { () throws -> (AuditHead?, UInt64?) in
            let known = try MetaTable(schema).value(.auditHead, in: transaction).flatMap {
                auditChain.head($0.octets)?.head
            }
            return (known, try transaction.lastKey(schema.audit))
        }
        // Uses the head in `meta` and not the last row: if rows at the end were removed, the gap would otherwise be
        // closed.
        let head = known ?? AuditHead(number: 0, hash: AuditChain.beginning)
        let number = max(head.number, last ?? 0) &+ 1
        let hash = auditChain.hash(number: number, content: content.octets, after: head.hash)
        _ = try convertingErrors { () throws in
            try transaction.put(schema.audit, key: number, value: (hash + content).octets, append: true)
        }
        let new = AuditHead(number: number, hash: hash)
        try MetaTable(schema).put(.auditHead, auditChain.headRow(new), in: transaction)
    }
}

/// Which entries of an audit log are wanted. What is nil is not asked for.
public struct AuditFilter: Sendable, Equatable {
    /// The actor's type, or which one it is: a credential's or client's id, a user's number.
    public var actor: String?
    public var action: AuditAction?
    public var owner: String?
    /// The id of a credential or client that was affected.
    public var id: String?
    /// From this time on.
    public var since: UnixSeconds?
    /// Before this time.
    public var until: UnixSeconds?

    public init() {}

    /// Whether an entry is wanted.
    public func matches(_ entry: AuditEntry) -> Bool {
        let audited = entry.audited
        return actor.map { $0 == entry.actor.name || $0 == entry.actor.which } ?? true
            && action.map { $0 == audited.action } ?? true && owner.map { $0 == audited.owner } ?? true
            && since.map { entry.time >= $0 } ?? true && until.map { entry.time < $0 } ?? true
            && id.map { id in
                id == audited.clientID || CredentialID(id).map { audited.credentials.contains($0) } ?? false
            } ?? true
    }
}

/// Some entries of an audit log, in order.
public struct AuditPage: Sendable {
    public var entries: [AuditEntry] = []
    /// The number of the last entry that was looked at; nil at the end of the log. The next page begins behind it.
    public var next: UInt64?
}

extension CredentialStore {
    /// Approximate maximum of credential ids that are read for one page: one bulk entry has a thousand and more.
    private static let idsOnPageMax = 50_000
    /// Most entries that are looked at for one page: a filter may match none of a million.
    private static let lookedAtMax = 20_000

    /// Entries with numbers above `number`, in order; fewer than `limit`, or none, if they name many credentials or a filter
    /// leaves many out.
    /// - Throws: ``StoreFailure/corrupt(table:)`` for an entry that cannot be decoded.
    @available(*, noasync)
    public func auditEntries(
        after number: UInt64, limit: Int, where filter: AuditFilter = AuditFilter()
    ) throws(StoreFailure) -> AuditPage {
        guard number < UInt64.max else { return AuditPage() }
        return try reading { transaction in
            var page = AuditPage()
            var (ids, lookedAt, last) = (0, 0, number)
            try transaction.scan(schema.audit, from: number + 1) { (key: UInt64, row: RawSpan) throws -> ScanStep in
                guard page.entries.count < limit, ids < Self.idsOnPageMax, lookedAt < Self.lookedAtMax else {
                    page.next = last
                    return .stop
                }
                guard let entry = AuditRow.entry(row, number: key) else {
                    throw StoreFailure.corrupt(table: "audit")
                }
                (last, lookedAt) = (key, lookedAt + 1)
                ids += entry.audited.credentials.count
                if filter.matches(entry) { page.entries.append(entry) }
                return .next
            }
            return page
        }
    }

    /// Verifies the chain from its beginning, in one snapshot, and stops where it is broken.
    /// - Parameter recorded: an earlier head of the log; nil when none was recorded.
    @available(*, noasync)
    public func verifyAudit(recorded: AuditHead? = nil) throws(StoreFailure) -> AuditReport {
        try reading { transaction in try verifyAudit(recorded: recorded, in: transaction) }
    }
}

extension InspectedStore {
    func verifyAudit(recorded: AuditHead?, in transaction: borrowing ReadTransaction) throws -> AuditReport {
        var report = AuditReport()
        var last = AuditHead(number: 0, hash: AuditChain.beginning)
        try transaction.scan(schema.audit, from: 0) { (number: UInt64, row: RawSpan) in
            let fault = self.fault(of: row, number: number, after: last, recorded: recorded)
            if let fault {
                report.fault = fault
                return .stop
            }
            last = AuditHead(number: number, hash: row.extracting(0..<AuditRow.hashBytes).copied())
            report.entries += 1
            return .next
        }
        if last.number > 0 { report.head = last }
        if report.fault == nil { report.fault = try faultAtEnd(last, recorded, in: transaction) }
        return report
    }

    private func fault(
        of row: RawSpan, number: UInt64, after last: AuditHead, recorded: AuditHead?
    ) -> AuditReport.Fault? {
        func fault(_ number: UInt64, _ reason: String) -> AuditReport.Fault {
            AuditReport.Fault(number: number, reason: reason)
        }
        guard number == last.number &+ 1 else { return fault(last.number &+ 1, "is missing") }
        guard row.byteCount >= AuditRow.hashBytes else { return fault(number, "is damaged") }
        let hash = row.extracting(0..<AuditRow.hashBytes).copied()
        let content = row.extracting(AuditRow.hashBytes...)
        guard auditChain.hash(number: number, content: content, after: last.hash) == hash else {
            return fault(number, "is not as it was written")
        }
        if let recorded, recorded.number == number, recorded.hash != hash {
            return fault(number, "is another one than was recorded")
        }
        return nil
    }

    /// The fault if entries are missing after the last one that is there.
    private func faultAtEnd(
        _ last: AuditHead, _ recorded: AuditHead?, in transaction: borrowing ReadTransaction
    ) throws -> AuditReport.Fault? {
        let next = last.number &+ 1
        if let recorded, recorded.number > last.number {
            return AuditReport.Fault(number: next, reason: "is missing, and was there when \(recorded.number) was")
        }
        let known = try MetaTable(schema).value(.auditHead, in: transaction).flatMap { auditChain.head($0.octets) }
        guard let known else {
            return last.number == 0
                ? nil : AuditReport.Fault(number: next, reason: "cannot be told: the end is not known")
        }
        guard known.isGenuine else {
            return AuditReport.Fault(number: next, reason: "cannot be told: the end is not as it was written")
        }
        guard known.head == last else { return AuditReport.Fault(number: next, reason: "is missing") }
        return nil
    }
}
