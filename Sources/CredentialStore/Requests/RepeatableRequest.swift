public import CredentialDigest
public import CredentialModel
public import LMDB

/// A request that may come twice and must act once: its `Idempotency-Key`
/// (draft-ietf-httpapi-idempotency-key-header) and what it asks for.
///
/// What it made is kept in the same transaction as what it made. So there is no time between the two at which a crash could
/// forget one of them; and of two equal requests that come at once, the second finds the first's row and makes nothing.
///
/// Kept are only keyed hashes: a request may hold secrets, and its hash must be no way to guess them.
public struct RepeatableRequest: Sendable {
    /// How long a request is remembered, in seconds.
    public static let keepSeconds: Int64 = 86_400

    let key: [UInt8]
    let fingerprint: [UInt8]

    /// - Parameters:
    ///   - caller: who sends it: one caller's keys are nobody else's.
    ///   - name: the Idempotency-Key.
    ///   - content: method, path and body.
    public init(caller: String, name: String, content: [UInt8], lookup: TagKey) {
        func hash(_ purpose: UInt8, _ message: [UInt8]) -> [UInt8] {
            Array(lookup.authenticationCode(of: ([purpose] + message).octets).bytes.prefix(16))
        }
        key = hash(3, Array(caller.utf8) + [0] + Array(name.utf8))
        fingerprint = hash(4, content)
    }
}

/// What is known of a request that is repeated.
public enum RepeatedRequest: Error, Equatable {
    /// It has made these.
    case made([CredentialID])
    /// The key belongs to a request that was not the same.
    case other
}

// The table `requests` holds two rows for each:
//
//     0 ‖ key           → time ‖ fingerprint ‖ ids
//     1 ‖ time ‖ key    → nothing                     so that the sweep finds the old ones

extension StoreWriter {
    /// - Throws: ``RepeatedRequest`` if the request's key is known.
    public func requireNew(
        _ request: RepeatableRequest, in transaction: borrowing WriteTransaction
    ) throws {
        let row = try naming { () throws -> [UInt8]? in
            try transaction.get(schema.requests, key: ([0] + request.key).octets) { $0.copied() }
        }
        guard let row, row.count >= 24, row.count.isMultiple(of: 8) else { return }
        let time = UnixSeconds(Int64(bitPattern: row.octets.word64(at: 0)))
        // The sweep may be late.
        guard time.adding(RepeatableRequest.keepSeconds) > now else { return }
        guard ConstantTime.equal(row.octets.extracting(8..<24), request.fingerprint.octets) else {
            throw RepeatedRequest.other
        }
        let ids = stride(from: 24, to: row.count, by: 8).map { CredentialID(rawValue: row.octets.word64(at: $0)) }
        throw RepeatedRequest.made(ids)
    }

    /// Remembers what a request has made, in the transaction that makes it.
    public func remember(
        _ request: RepeatableRequest, made ids: [CredentialID], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        var row: [UInt8] = []
        row.append(word64: UInt64(bitPattern: now.rawValue))
        row += request.fingerprint
        for id in ids { row.append(word64: id.rawValue) }
        try put(schema.requests, [0] + request.key, row, in: transaction)
        try put(schema.requests, Self.age(now, request.key), [], in: transaction)
    }

    /// Forgets what is too old.
    /// - Returns: how many were looked at.
    func forgetRequests(
        before limitTime: UnixSeconds, limit: Int, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Int {
        var due: [(key: [UInt8], time: UInt64)] = []
        let schema = schema
        try naming { () throws in
            try transaction.scan(schema.requests, from: ([1] as [UInt8]).octets) { key, _ in
                guard key.byteCount == 25, key.byte(at: 0) == 1 else { return .stop }
                let time = key.word64(at: 1).byteSwapped
                guard Int64(clamping: time) < limitTime.rawValue, due.count < limit else { return .stop }
                due.append((key.extracting(9..<25).copied(), time))
                return .next
            }
        }
        for (key, time) in due {
            let row = try naming { () throws -> UInt64? in
                try transaction.get(schema.requests, key: ([0] + key).octets) {
                    $0.byteCount < 8 ? 0 : $0.word64(at: 0)
                }
            }
            // The key may have been used anew since.
            if row == time { try delete(schema.requests, [0] + key, in: transaction) }
            try delete(schema.requests, Self.age(UnixSeconds(Int64(clamping: time)), key), in: transaction)
        }
        return due.count
    }

    private static func age(_ time: UnixSeconds, _ key: [UInt8]) -> [UInt8] {
        var age: [UInt8] = [1]
        age.append(bigEndian: UInt64(clamping: time.rawValue))
        return age + key
    }
}
