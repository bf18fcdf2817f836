import CredentialModel
import Verification

/// The counters of the data plane since its start, summed over its event loops.
public struct DataPlaneFigures: Sendable {
    /// The labels of a verification counter.
    public struct Verifications: Sendable, Hashable {
        /// `introspect`, `verify`, `v1_verify`, `ext_authz`, `token_review`, `grpc`.
        public var interface: String
        /// `none` if the kind is unknown.
        public var kind: String
        public var outcome: String

        public init(interface: String, kind: String, outcome: String) {
            self.interface = interface
            self.kind = kind
            self.outcome = outcome
        }
    }

    public var verifications: [Verifications: UInt64] = [:]
    /// The labels of a counter of refused callers.
    public struct Refusals: Sendable, Hashable {
        /// As for verifications, or `changes`.
        public var interface: String
        /// `unauthenticated`, `invalid_client`, `invalid_token`, `forbidden`, `malformed`.
        public var reason: String

        public init(interface: String, reason: String) {
            self.interface = interface
            self.reason = reason
        }
    }

    /// The durations of verifications at one interface.
    public struct Times: Sendable {
        /// By ``timeBounds``; the last count is of durations above the last bound.
        public var counts: [UInt64]
        /// The sum, in seconds.
        public var seconds: Double
    }

    /// The upper bounds of the buckets of ``Times``, in seconds.
    public static var timeBounds: [Double] { VerificationTimes.bounds }

    public var refusedCallers: [Refusals: UInt64] = [:]
    /// By interface, for those with verifications.
    public var times: [String: Times] = [:]
    /// Verifications answered from the cache, and from the store.
    public var cacheHits: UInt64 = 0
    public var cacheMisses: UInt64 = 0
    /// Accepted credentials that already have a successor.
    public var supersededUses: UInt64 = 0
    public var tlsHandshakes: UInt64 = 0
    /// Open connections, without those of the health listener.
    public var connections = 0
    /// Bytes that connections hold in buffers.
    public var bufferedBytes = 0
    /// Requests refused because the memory budget was exceeded.
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
        for interface in VerificationInterface.allCases {
            note(interface, in: &figures)
        }
        figures.connections = openConnections
        figures.bufferedBytes = bufferedBytes
        return figures
    }

    private func note(_ interface: VerificationInterface, in figures: inout DataPlaneFigures) {
        for reason in CallerRefusal.allCases {
            let count = loops.reduce(0) { $0 + $1.refusals.count(interface, reason) }
            guard count > 0 || interface == .introspection && reason == .invalidClient else { continue }
            figures.refusedCallers[.init(interface: interface.name, reason: reason.name)] = count
        }
        var times = DataPlaneFigures.Times(counts: [], seconds: 0)
        for loop in loops {
            let own = loop.times.figures(of: interface)
            times.counts = times.counts.isEmpty ? own.counts : zip(times.counts, own.counts).map { $0 + $1 }
            times.seconds += own.seconds
        }
        if times.counts.contains(where: { $0 > 0 }) { figures.times[interface.name] = times }
    }
}
