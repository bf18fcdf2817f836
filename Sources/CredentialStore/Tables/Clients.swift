public import CredentialModel
public import LMDB
import Synchronization

/// A registered OAuth 2.0 client (RFC 6749 §2). Its secrets are separate credentials that refer to its number.
public struct ClientDefinition: Sendable, Equatable {
    /// The interned number by which credentials refer to it.
    public var number: UInt32
    /// Its id on the wire: 11 random base62 digits.
    public var clientID: String
    public var metadata: ClientMetadata
    public var createdAt: UnixSeconds
    public var revokedAt: UnixSeconds?

    public init(number: UInt32, clientID: String, metadata: ClientMetadata, createdAt: UnixSeconds) {
        self.number = number
        self.clientID = clientID
        self.metadata = metadata
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
        case description = 12
    }

    init?(key: UInt64, row: RawSpan) { self.init(row: row, number: UInt32(truncatingIfNeeded: key)) }

    init?(row: RawSpan, number: UInt32) {
        self.init(number: number, clientID: "", metadata: ClientMetadata(name: ""), createdAt: .always)
        var offset = 0
        while offset + 3 <= row.byteCount {
            let end = offset + 3 + Int(row.word16(at: offset + 1))
            guard end <= row.byteCount else { return nil }
            let text = String(decoding: row.extracting(offset + 3..<end).copied(), as: UTF8.self)
            switch Field(rawValue: row.byte(at: offset)) {
            case .clientID: clientID = text
            case .name: metadata.name = text
            case .description: metadata.description = text
            case .grant: metadata.grants.append(text)
            case .redirectURI: metadata.redirectURIs.append(text)
            case .scope: metadata.scope.append(text)
            case .audience: metadata.audience.append(text)
            case .right: metadata.rights.append(text)
            case .certificateSAN: metadata.certificateSAN = text
            case .isPublic: metadata.isPublic = text == "1"
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
        field(.name, metadata.name)
        if let description = metadata.description { field(.description, description) }
        for grant in metadata.grants { field(.grant, grant) }
        for uri in metadata.redirectURIs { field(.redirectURI, uri) }
        for token in metadata.scope { field(.scope, token) }
        for uri in metadata.audience { field(.audience, uri) }
        for right in metadata.rights { field(.right, right) }
        if let certificateSAN = metadata.certificateSAN { field(.certificateSAN, certificateSAN) }
        if metadata.isPublic { field(.isPublic, "1") }
        field(.createdAt, String(createdAt.rawValue))
        if let revokedAt { field(.revokedAt, String(revokedAt.rawValue)) }
        return row
    }
}

extension StoreWriter {
    /// A client as this transaction sees it; nil when there is none.
    public func client(
        _ number: UInt32, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> ClientDefinition? {
        try schema.clients.get(UInt64(number), in: transaction) { ClientDefinition(row: $0, number: number) }
    }

    /// Clients that this transaction has changed so far, which ``ClientDirectory`` does not know yet.
    public var changedClients: [ClientDefinition] { publication.clients }

    /// Stores a client. A change of rights or audiences also needs an edit of the records of its secrets.
    public func putClient(
        _ client: ClientDefinition, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        try perform(.client(client), in: transaction)
    }

    func putRow(of client: ClientDefinition, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try schema.clients.put(UInt64(client.number), client.row, in: transaction)
        try journal(.clientChanged, subject: Array(client.clientID.utf8), in: transaction)
        publication.clients.append(client)
    }
}

/// All clients in memory, as of the last commit. A changed client is published before its commit is acknowledged.
public final class ClientDirectory: Sendable {
    private struct State {
        var byNumber: [UInt32: ClientDefinition] = [:]
        var byID: [String: UInt32] = [:]
        var bySAN: [String: UInt32] = [:]
        /// Nil after a change, until it is next read.
        var advertised: Advertised?
    }

    /// All that unrevoked clients are registered for: what the public metadata documents list.
    public struct Advertised: Sendable {
        /// Sorted.
        public let scopes: [String]
        /// Resources, each in its spelling that sorts first, with the sorted scopes of the clients registered for them.
        public let resources: [(uri: String, scopes: [String])]

        fileprivate init(_ clients: some Sequence<ClientDefinition>) {
            var scopes: Set<String> = []
            var byResource: [String: Set<String>] = [:]
            for client in clients where client.revokedAt == nil {
                scopes.formUnion(client.metadata.scope)
                for uri in client.metadata.audience { byResource[uri, default: []].formUnion(client.metadata.scope) }
            }
            var resources: [(uri: String, scopes: Set<String>)] = []
            for (uri, scopes) in byResource.sorted(by: { $0.key < $1.key }) {
                if let known = resources.firstIndex(where: { ResourceURI.areSame($0.uri, uri) }) {
                    resources[known].scopes.formUnion(scopes)
                } else {
                    resources.append((uri, scopes))
                }
            }
            self.scopes = scopes.sorted()
            self.resources = resources.map { ($0.uri, $0.scopes.sorted()) }
        }
    }

    private let state = Mutex(State())

    func publish(_ client: ClientDefinition) {
        state.withLock { state in
            // Only its own entry: after a client was revoked, another one may use the same name.
            if let san = state.byNumber[client.number]?.metadata.certificateSAN, state.bySAN[san] == client.number {
                state.bySAN[san] = nil
            }
            state.byNumber[client.number] = client
            state.advertised = nil
            state.byID[client.clientID] = client.number
            if let san = client.metadata.certificateSAN, client.revokedAt == nil { state.bySAN[san] = client.number }
        }
    }

    /// Computed once for each change, because anybody may request it at any rate.
    public var advertised: Advertised {
        state.withLock { state in
            if let advertised = state.advertised { return advertised }
            let advertised = Advertised(state.byNumber.values)
            state.advertised = advertised
            return advertised
        }
    }

    /// The client with this interned number.
    public func client(number: UInt32) -> ClientDefinition? {
        state.withLock { $0.byNumber[number] }
    }

    /// The client with this id on the wire.
    public func client(id: String) -> ClientDefinition? {
        state.withLock { state in state.byID[id].flatMap { state.byNumber[$0] } }
    }

    /// The unrevoked client whose certificates have exactly this subject alternative name.
    public func client(certificateSAN: String) -> ClientDefinition? {
        state.withLock { state in state.bySAN[certificateSAN].flatMap { state.byNumber[$0] } }
    }

    /// Clients in the order of their ids, after a given one.
    /// - Parameter search: only those whose id begins with it or whose name contains it, ignoring case; nil for all.
    public func clients(search: String? = nil, after id: String?, limit: Int) -> [ClientDefinition] {
        let search = search?.lowercased() ?? ""
        return state.withLock { state in
            let clients = state.byNumber.values.filter { client in
                guard id.map({ $0 < client.clientID }) ?? true else { return false }
                return search.isEmpty || client.clientID.lowercased().hasPrefix(search)
                    || client.metadata.name.lowercased().contains(search)
            }
            return Array(clients.sorted { $0.clientID < $1.clientID }.prefix(limit))
        }
    }
}
