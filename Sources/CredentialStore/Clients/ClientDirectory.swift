import CredentialModel
import Synchronization

/// All clients in memory, as of the last commit. A changed client is published before its commit is acknowledged.
public final class ClientDirectory: Sendable {
    private struct State {
        var byNumber: [UInt32: ClientDefinition] = [:]
        var byID: [String: UInt32] = [:]
        var bySAN: [String: UInt32] = [:]
        /// Nil after a change, until it is next read.
        var offer: Offer?
    }

    /// All that unrevoked clients are registered for: what the public metadata documents list.
    public struct Offer: Sendable {
        /// Sorted.
        public let scopes: [String]
        /// Resources, each in its spelling that sorts first, with the sorted scopes of the clients registered for them.
        public let resources: [(uri: String, scopes: [String])]

        fileprivate init(_ clients: some Sequence<ClientDefinition>) {
            var scopes: Set<String> = []
            var byResource: [String: Set<String>] = [:]
            for client in clients where client.revokedAt == nil {
                scopes.formUnion(client.scope)
                for uri in client.audience { byResource[uri, default: []].formUnion(client.scope) }
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
            if let san = state.byNumber[client.number]?.certificateSAN, state.bySAN[san] == client.number {
                state.bySAN[san] = nil
            }
            state.byNumber[client.number] = client
            state.offer = nil
            state.byID[client.clientID] = client.number
            if let san = client.certificateSAN, client.revokedAt == nil { state.bySAN[san] = client.number }
        }
    }

    /// Computed once for each change, because anybody may request it at any rate.
    public var offer: Offer {
        state.withLock { state in
            if let offer = state.offer { return offer }
            let offer = Offer(state.byNumber.values)
            state.offer = offer
            return offer
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
                    || client.name.lowercased().contains(search)
            }
            return Array(clients.sorted { $0.clientID < $1.clientID }.prefix(limit))
        }
    }
}
