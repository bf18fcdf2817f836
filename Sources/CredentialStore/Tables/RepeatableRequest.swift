public import CredentialDigest
public import CredentialModel
public import LMDB

/// A request that may be sent twice but must be executed once: its `Idempotency-Key`
/// (draft-ietf-httpapi-idempotency-key-header) and its content.
///
/// Its result is stored in the same transaction as what it created. So a crash cannot keep one without the other, and
/// of two equal requests sent at once, the second finds the first's row and creates nothing.
///
/// Only keyed hashes are stored: a request may contain secrets, which must not be guessable from its hash.
public struct RepeatableRequest: Sendable {
    /// How long a request is remembered, in seconds.
    public static let keepSeconds: Int64 = 86_400

    let key: [UInt8]
    let fingerprint: [UInt8]

    /// - Parameters:
    ///   - caller: who sends it; each caller's keys are separate.
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

/// What an earlier request with the same key did.
public enum RepeatedRequest: Error, Equatable {
    /// It created these credentials.
    case made([CredentialID])
    /// The key belongs to a different request.
    case other
}

// The table `requests` holds two rows for each request:
//
//     0 ‖ key           → time ‖ fingerprint ‖ ids
//     1 ‖ time ‖ key    → nothing                     for the sweep to find old ones

extension StoreWriter {
    /// - Throws: ``RepeatedRequest`` if the request's key is known.
    public func requireNew(
        _ request: RepeatableRequest, in transaction: borrowing WriteTransaction
    ) throws {
        let row = try convertingErrors { () throws -> [UInt8]? in
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

    /// Records what a request has created, in the same transaction.
    public func remember(
        _ request: RepeatableRequest, made ids: [CredentialID], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        var row: [UInt8] = []
        row.append(word64: UInt64(bitPattern: now.rawValue))
        row += request.fingerprint
        for id in ids { row.append(word64: id.rawValue) }
        try perform(.row(.requests, key: [0] + request.key, value: row), in: transaction)
        try perform(.row(.requests, key: Self.age(now, request.key), value: []), in: transaction)
    }

    /// Removes expired requests.
    /// - Returns: how many were examined.
    func forgetRequests(
        before limitTime: UnixSeconds, limit: Int, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> Int {
        var due: [(key: [UInt8], time: UInt64)] = []
        let schema = schema
        try convertingErrors { () throws in
            try transaction.scan(schema.requests, from: ([1] as [UInt8]).octets) { key, _ in
                guard key.byteCount == 25, key.byte(at: 0) == 1 else { return .stop }
                let time = key.word64(at: 1).byteSwapped
                guard Int64(clamping: time) < limitTime.rawValue, due.count < limit else { return .stop }
                due.append((key.extracting(9..<25).copied(), time))
                return .next
            }
        }
        for (key, time) in due {
            let row = try convertingErrors { () throws -> UInt64? in
                try transaction.get(schema.requests, key: ([0] + key).octets) {
                    $0.byteCount < 8 ? 0 : $0.word64(at: 0)
                }
            }
            // The key may have been used again since.
            if row == time { try perform(.row(.requests, key: [0] + key, value: nil), in: transaction) }
            let age = Self.age(UnixSeconds(Int64(clamping: time)), key)
            try perform(.row(.requests, key: age, value: nil), in: transaction)
        }
        return due.count
    }

    private static func age(_ time: UnixSeconds, _ key: [UInt8]) -> [UInt8] {
        var age: [UInt8] = [1]
        age.append(bigEndian: UInt64(clamping: time.rawValue))
        return age + key
    }
}
