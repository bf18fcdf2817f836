import Synchronization

/// All clients in memory, as of the last commit. Published before the commit that changed one is acknowledged.
public final class ClientDirectory: Sendable {
    private struct State {
        var byNumber: [UInt32: ClientDefinition] = [:]
        var byID: [String: UInt32] = [:]
        var bySAN: [String: UInt32] = [:]
    }

    private let state = Mutex(State())

    func publish(_ client: ClientDefinition) {
        state.withLock { state in
            // Only its own entry: once a client is revoked, another one may have taken over the name.
            if let san = state.byNumber[client.number]?.certificateSAN, state.bySAN[san] == client.number {
                state.bySAN[san] = nil
            }
            state.byNumber[client.number] = client
            state.byID[client.clientID] = client.number
            if let san = client.certificateSAN, client.revokedAt == nil { state.bySAN[san] = client.number }
        }
    }

    /// The client with this interned number.
    public func client(number: UInt32) -> ClientDefinition? {
        state.withLock { $0.byNumber[number] }
    }

    /// The client that calls itself so on the wire.
    public func client(id: String) -> ClientDefinition? {
        state.withLock { state in state.byID[id].flatMap { state.byNumber[$0] } }
    }

    /// The living client whose certificates carry exactly this subject alternative name.
    public func client(certificateSAN: String) -> ClientDefinition? {
        state.withLock { state in state.bySAN[certificateSAN].flatMap { state.byNumber[$0] } }
    }

    /// Clients in the order of their ids, after a given one.
    /// - Parameter search: only those whose id begins with it or whose name holds it, whatever its case; nil: all.
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
