import CredentialModel
import Dispatch
import LMDB

// The stores of a fleet are compared at one position, while the fleet works: what begins a comparison is an entry of the
// log like any other. When a node has that entry and nothing behind it, it takes a snapshot, and hashes it on another
// thread. All nodes have hashed the same position, so their hashes are equal, or their stores are not.

extension CredentialStore {
    /// Begins a comparison of this store with those of the other nodes. Each node tells its log its digest
    /// (``SharedLog/compared(_:at:_:)``).
    /// - Returns: the random number of the comparison.
    public func beginComparison() async throws -> UInt64 {
        let id = UInt64.random(in: 1...UInt64.max)
        try await write(creates: false, reach: .node) { writer, transaction in
            try writer.perform(.meta(.comparison, number: id), in: transaction)
        }
        return id
    }
}

extension GroupCommit {
    /// Hashes the store as it is now on another thread. Returns when that thread has its snapshot.
    func compare(_ id: UInt64, _ shared: SharedCommit) {
        let hasBegun = DispatchSemaphore(value: 0)
        let (log, position, environment, schema) = (shared.log, shared.position, environment, schema)
        DispatchQueue.global(qos: .utility).async { [self] in
            let digest = try? environment.read { transaction in
                hasBegun.signal()
                return try StoreDigest.tables(of: schema, in: transaction) {
                    // A snapshot keeps pages that a revocation may need.
                    !self.headRoom.isWaiting && !self.isClosing
                }.map { StoreDigest(number: position.number, tables: $0) }
            }
            hasBegun.signal()
            log.compared(id, at: position, digest ?? nil)
        }
        hasBegun.wait()
    }
}
