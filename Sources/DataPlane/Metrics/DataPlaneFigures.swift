import CredentialModel
import Verification

/// What the data plane has done since its start, summed over its event loops.
public struct DataPlaneFigures: Sendable {
    /// Verifications alike.
    public struct Verifications: Sendable, Hashable {
        /// `introspect`, `verify`, `v1_verify`, `ext_authz`, `token_review`, `grpc`.
        public var interface: String
        /// `none` where nothing is known of the credential.
        public var kind: String
        public var outcome: String

        public init(interface: String, kind: String, outcome: String) {
            self.interface = interface
            self.kind = kind
            self.outcome = outcome
        }
    }

    public var verifications: [Verifications: UInt64] = [:]
    /// Verifications answered from the cache, and those that asked the store.
    public var cacheHits: UInt64 = 0
    public var cacheMisses: UInt64 = 0
    /// Accepted credentials that have a successor already.
    public var supersededUses: UInt64 = 0
    public var tlsHandshakes: UInt64 = 0
    /// Open now, those of the health listener not included.
    public var connections = 0
    /// Bytes that connections hold in buffers now.
    public var bufferedBytes = 0
    /// Requests refused because these were too many.
    public var droppedForRoom: UInt64 = 0
}

extension DataPlaneServer {
    public var figures: DataPlaneFigures {
        var figures = DataPlaneFigures()
        for loop in loops {
            let (counters, counts) = (loop.verifier.counters, loop.counts)
            figures.cacheHits += counters.hits.value
            figures.cacheMisses += counters.misses.value
            figures.supersededUses += counts.superseded.value
            figures.tlsHandshakes += counts.handshakes.value
            figures.droppedForRoom += counts.droppedForRoom.value
            counts.forEach { interface, kind, outcome, count in
                let verifications = DataPlaneFigures.Verifications(
                    interface: interface.name, kind: kind?.name ?? "none", outcome: outcome.name)
                figures.verifications[verifications, default: 0] += count
            }
        }
        figures.connections = openConnections
        figures.bufferedBytes = bufferedBytes
        return figures
    }
}
