public import CredentialModel

/// A registered OAuth 2.0 client (RFC 6749 §2). Its secrets are separate credentials that refer to its number.
public struct ClientDefinition: Sendable, Equatable {
    /// The interned number by which credentials refer to it.
    public var number: UInt32
    /// Its id on the wire: 11 random base62 digits.
    public var clientID: String
    public var name: String
    public var grants: [String]
    public var redirectURIs: [String]
    /// Scopes that it may request.
    public var scope: [String]
    public var audience: [String]
    /// Its rights over this service: `introspect`, `changes`, `admin`.
    public var rights: [String]
    /// The subject alternative name that identifies this client in a certificate (RFC 8705 §2.1.2).
    public var certificateSAN: String?
    /// Whether it cannot keep a secret (RFC 6749 §2.1).
    public var isPublic: Bool
    public var createdAt: UnixSeconds
    public var revokedAt: UnixSeconds?

    public init(
        number: UInt32, clientID: String, name: String, grants: [String], redirectURIs: [String], scope: [String],
        audience: [String], rights: [String], certificateSAN: String?, isPublic: Bool, createdAt: UnixSeconds
    ) {
        self.number = number
        self.clientID = clientID
        self.name = name
        self.grants = grants
        self.redirectURIs = redirectURIs
        self.scope = scope
        self.audience = audience
        self.rights = rights
        self.certificateSAN = certificateSAN
        self.isPublic = isPublic
        self.createdAt = createdAt
    }

    /// Fields as tagged texts: a field with several values is repeated. Unknown fields of later versions are skipped.
    private enum Field: UInt8 {
        case clientID = 1
        case name = 2
        case grant = 3
        case redirectURI = 4
        case scope = 5
        case audience = 6
        case right = 7
        case certificateSAN = 8
        case isPublic = 9
        case createdAt = 10
        case revokedAt = 11
    }

    init?(key: UInt64, row: RawSpan) { self.init(row: row, number: UInt32(truncatingIfNeeded: key)) }

    init?(row: RawSpan, number: UInt32) {
        self.init(
            number: number, clientID: "", name: "", grants: [], redirectURIs: [], scope: [], audience: [], rights: [],
            certificateSAN: nil, isPublic: false, createdAt: .always)
        var offset = 0
        while offset + 3 <= row.byteCount {
            let end = offset + 3 + Int(row.word16(at: offset + 1))
            guard end <= row.byteCount else { return nil }
            let text = String(decoding: row.extracting(offset + 3..<end).copied(), as: UTF8.self)
            switch Field(rawValue: row.byte(at: offset)) {
            case .clientID: clientID = text
            case .name: name = text
            case .grant: grants.append(text)
            case .redirectURI: redirectURIs.append(text)
            case .scope: scope.append(text)
            case .audience: audience.append(text)
            case .right: rights.append(text)
            case .certificateSAN: certificateSAN = text
            case .isPublic: isPublic = text == "1"
            case .createdAt: createdAt = UnixSeconds(Int64(text) ?? 0)
            case .revokedAt: revokedAt = UnixSeconds(Int64(text) ?? 0)
            case nil: break
            }
            offset = end
        }
        guard offset == row.byteCount, !clientID.isEmpty else { return nil }
    }

    var row: [UInt8] {
        var row: [UInt8] = []
        func field(_ field: Field, _ text: String) {
            let bytes = Array(text.utf8.prefix(Int(UInt16.max)))
            row.append(field.rawValue)
            row.append(word16: UInt16(bytes.count))
            row.append(contentsOf: bytes)
        }
        field(.clientID, clientID)
        field(.name, name)
        for grant in grants { field(.grant, grant) }
        for uri in redirectURIs { field(.redirectURI, uri) }
        for token in scope { field(.scope, token) }
        for uri in audience { field(.audience, uri) }
        for right in rights { field(.right, right) }
        if let certificateSAN { field(.certificateSAN, certificateSAN) }
        if isPublic { field(.isPublic, "1") }
        field(.createdAt, String(createdAt.rawValue))
        if let revokedAt { field(.revokedAt, String(revokedAt.rawValue)) }
        return row
    }
}
