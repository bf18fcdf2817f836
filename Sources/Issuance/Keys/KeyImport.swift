import CredentialDigest
public import CredentialModel
import CredentialStore
import LMDB
import NetworkAddress

/// A key of another system, in plain text or as a hash, with the properties that it gets here.
public struct ImportLine: Sendable {
    public var form: ImportedForm
    public var request: KeyRequest

    public init(_ form: ImportedForm, request: KeyRequest) {
        self.form = form
        self.request = request
    }

    /// A key in plain text.
    public init(key: SecretText, request: KeyRequest) {
        self.init(.key(key), request: request)
    }
}

/// The result of an import. Refusals identify lines, never keys.
public struct ImportReport: Sendable {
    /// A line whose key was already in the store under this id, for the same owner.
    public struct Existing: Sendable, Equatable {
        /// Index of the line, from 0.
        public var line: Int
        public var id: CredentialID

        public init(line: Int, id: CredentialID) {
            self.line = line
            self.id = id
        }
    }

    /// A line that was not imported, and why.
    public struct Refusal: Sendable, Equatable {
        /// Index of the line, from 0.
        public var line: Int
        public var reason: String

        public init(line: Int, reason: String) {
            self.line = line
            self.reason = reason
        }
    }

    public var imported: [CredentialID] = []
    public var existing: [Existing] = []
    public var refused: [Refusal] = []

    public init() {}
}

/// What another system exports for a key: the key itself, or its stored hash.
public enum ImportedForm: Sendable {
    /// The key as its users present it: 20 to 512 visible ASCII characters without comma and quote.
    case key(SecretText)
    /// SHA-256 of the key, in hexadecimal digits, base64 or base64url.
    case sha256(SecretText)
    /// SHA-512 of the key, in the same encodings.
    case sha512(SecretText)
    /// HMAC-SHA-256 of the key, in the same encodings, under the HMAC key with that name in the pepper file.
    case hmacSHA256(SecretText, keyName: String)
}

extension Issuer {
    /// The maximum number of lines in one request.
    public static let importLinesMax = 1_000

    /// Imports keys of other systems, so that their users can continue to present them.
    ///
    /// Lines are independent: each is either imported or refused with a reason. A key that is already in the store, valid and
    /// for the same owner, is not changed, so that an import can be repeated. A key that was imported and then revoked is
    /// refused.
    public func importKeys(_ lines: [ImportLine]) async throws(IssuanceError) -> ImportReport {
        guard lines.count <= Self.importLinesMax else {
            throw .invalid(field: "lines", reason: "must be at most \(Self.importLinesMax)")
        }
        var report = ImportReport()
        var checked: [(line: Int, row: ImportedRow)] = []
        for start in stride(from: 0, to: lines.count, by: WorkThreads.credentialsPerPiece) {
            let numbers = start..<min(start + WorkThreads.credentialsPerPiece, lines.count)
            let piece = try await offThread { [self] _ in check(lines, numbers) }
            checked += piece.rows
            report.refused += piece.refused
        }
        guard !checked.isEmpty else { return report }
        let outcome = try await insert(checked)
        report.imported = outcome.imported
        report.existing = outcome.existing
        report.refused = (report.refused + outcome.refused).sorted { $0.line < $1.line }
        return report
    }

    /// Checks the lines with these indexes, and hashes their keys.
    private func check(
        _ lines: [ImportLine], _ numbers: Range<Int>
    ) -> (rows: [(line: Int, row: ImportedRow)], refused: [ImportReport.Refusal]) {
        WorkThreads.assertNoTask()
        var rows: [(line: Int, row: ImportedRow)] = []
        var refused: [ImportReport.Refusal] = []
        for number in numbers {
            do throws(IssuanceError) {
                rows.append((number, try ImportedRow(lines[number], issuer: self)))
            } catch {
                refused.append(ImportReport.Refusal(line: number, reason: error.message))
            }
        }
        return (rows, refused)
    }

    private func insert(_ rows: [(line: Int, row: ImportedRow)]) async throws(IssuanceError) -> ImportReport {
        let (store, actor) = (store, actor)
        while true {
            do {
                return try await write(creates: true) { writer, transaction in
                    var report = ImportReport()
                    for (line, row) in rows {
                        switch try row.insert(store: store, writer: writer, in: transaction) {
                        case .imported(let id): report.imported.append(id)
                        case .existing(let id): report.existing.append(ImportReport.Existing(line: line, id: id))
                        case .refused(let reason):
                            report.refused.append(ImportReport.Refusal(line: line, reason: reason))
                        }
                    }
                    if !report.imported.isEmpty {
                        let action = AuditedAction(.keysImported, credentials: report.imported)
                        try writer.audit(action, by: actor, in: transaction)
                    }
                    return report
                }
            } catch is MintAgain {
                continue
            } catch {
                throw IssuanceError(error)
            }
        }
    }
}

/// A checked line, ready to be inserted.
private struct ImportedRow: Sendable {
    private let scheme: ForeignScheme
    private let form: [UInt8]
    private let alias: [UInt8]
    private let traits: KeyTraits

    init(_ line: ImportLine, issuer: Issuer) throws(IssuanceError) {
        let (scheme, form) = try line.form.checked(issuer.store)
        self.scheme = scheme
        self.form = form
        alias = issuer.store.foreignSchemes.alias(of: form.octets, by: scheme)
        traits = try KeyTraits(line.request, issuer: issuer)
    }

    /// Inserts the credential, or tells why not.
    func insert(
        store: CredentialStore, writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws -> ImportOutcome {
        if let id = try writer.alias(alias, in: transaction) {
            return try outcome(ofExisting: id, writer: writer, in: transaction)
        }
        if let other = try otherScheme(store: store, writer: writer, in: transaction) {
            return .refused(reason: "was imported before, as \(other.label)")
        }
        let id = CredentialID.random()
        let place = store.peppers.newest
        let tag = store.peppers.tag(ofImported: form.octets, kind: .apiKey, id: id, at: place)
        var record = CredentialRecord(id: id, kind: .apiKey, tag: tag, pepper: place.number)
        record.flags = .imported
        var row = StoredCredential(record: record, owner: traits.owner, name: nil)
        try traits.apply(to: &row, writer, in: transaction)
        try writer.insertPending(row, in: transaction)
        try writer.setAlias(alias, id, by: scheme, in: transaction)
        return .imported(id)
    }

    /// The outcome for a key or hash that was imported before.
    ///
    /// An interrupted import is repeated from its beginning, so it is refused only if success would be misleading: if the key
    /// does not work, or has another owner.
    private func outcome(
        ofExisting id: CredentialID, writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws -> ImportOutcome {
        guard let row = try writer.credential(id, in: transaction) else {
            return .refused(reason: "was imported before")
        }
        if try writer.isRevoked(row, in: transaction) {
            return .refused(reason: "was imported before and is revoked")
        }
        if row.owner != traits.owner { return .refused(reason: "was imported before, for another owner") }
        return .existing(id)
    }

    /// Another scheme by which this key was already imported. It can be found only for a key in plain text, since one hash of
    /// a key does not reveal the others.
    private func otherScheme(
        store: CredentialStore, writer: StoreWriter, in transaction: borrowing WriteTransaction
    ) throws -> ForeignScheme? {
        guard case .raw = scheme else { return nil }
        for other in store.foreignSchemes.all.dropFirst() where try writer.uses(other, in: transaction) {
            let hash = ForeignSchemes.form(of: form.octets, by: other)
            let alias = store.foreignSchemes.alias(of: hash.octets, by: other)
            if try writer.alias(alias, in: transaction) != nil { return other }
        }
        return nil
    }
}

/// The outcome for a line.
private enum ImportOutcome: Sendable {
    case imported(CredentialID)
    case existing(CredentialID)
    case refused(reason: String)
}

extension ForeignScheme {
    fileprivate var label: String {
        switch self {
        case .raw: "a key in plain text"
        case .sha256: "its SHA-256"
        case .sha512: "its SHA-512"
        case .hmacSHA256(let key): "its HMAC-SHA-256 under '\(key.name)'"
        }
    }
}

extension ImportedForm {
    /// The scheme, and the bytes for the alias and the tag.
    fileprivate func checked(_ store: CredentialStore) throws(IssuanceError) -> (scheme: ForeignScheme, bytes: [UInt8])
    {
        switch self {
        case .key(let text):
            let bytes = text.revealBytes()
            guard CredentialFormat.isImportable(bytes.octets) else {
                throw .invalid(
                    field: "key", reason: "must be 20 to 512 visible ASCII characters without comma and quote")
            }
            guard NativeCredential(bytes.octets, vendor: store.vendor) == nil else {
                throw .invalid(field: "key", reason: "has the form of this service's own credentials")
            }
            return (.raw, bytes)
        case .sha256(let text): return try Self.hash(text, .sha256, field: "sha256")
        case .sha512(let text): return try Self.hash(text, .sha512, field: "sha512")
        case .hmacSHA256(let text, let name):
            // The error does not repeat the name, in case it is the key itself.
            guard let key = store.foreignSchemes.hmacKey(named: name) else {
                throw .invalid(
                    field: "hmac_key_name",
                    reason: "has no `hmac` line in the pepper file: add the key there and restart")
            }
            return try Self.hash(text, .hmacSHA256(key), field: "hmac_sha256")
        }
    }

    private static func hash(
        _ text: SecretText, _ scheme: ForeignScheme, field: String
    ) throws(IssuanceError) -> (scheme: ForeignScheme, bytes: [UInt8]) {
        let byteCount = scheme.hashByteCount ?? 0
        guard let bytes = HashText.decode(text.revealBytes(), byteCount: byteCount) else {
            throw .invalid(
                field: field,
                reason: "must be \(byteCount) bytes in \(2 * byteCount) hexadecimal digits, base64 or base64url")
        }
        // An unset column or an empty hash, and not the hash of any key.
        guard bytes.contains(where: { $0 != 0 }) else {
            throw .invalid(field: field, reason: "is all zeros, which is not the hash of a key")
        }
        return (scheme, bytes)
    }
}

/// Parses a hash as other systems write it: hexadecimal digits of either case, base64 or base64url (RFC 4648), with or
/// without padding.
///
/// The length tells the encoding, and parsing is strict: no mixed alphabets, no unused bits that are set, no surrounding
/// text. So a truncated or corrupted text is refused and not taken for another hash.
private enum HashText {
    /// The bytes; nil when the text does not encode exactly `byteCount` bytes.
    static func decode(_ text: [UInt8], byteCount: Int) -> [UInt8]? {
        if text.count == 2 * byteCount { return Hexadecimal.decode(text) }
        let digitCount = (byteCount * 8 + 5) / 6
        let paddedCount = (byteCount + 2) / 3 * 4
        if text.count == digitCount { return base64(text[...], byteCount: byteCount) }
        guard text.count == paddedCount, text[digitCount...].allSatisfy({ $0 == UInt8(ascii: "=") }) else { return nil }
        return base64(text[..<digitCount], byteCount: byteCount)
    }

    private static func base64(_ text: ArraySlice<UInt8>, byteCount: Int) -> [UInt8]? {
        let isStandard = text.contains { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "/") }
        let isURL = text.contains { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
        guard !(isStandard && isURL) else { return nil }
        let url = text.map { byte in
            switch byte {
            case UInt8(ascii: "+"): UInt8(ascii: "-")
            case UInt8(ascii: "/"): UInt8(ascii: "_")
            default: byte
            }
        }
        guard let bytes = Base64URL.decode(String(decoding: url, as: UTF8.self)), bytes.count == byteCount else {
            return nil
        }
        return bytes
    }
}
