import DataPlane
import Exposition

/// What the data plane tells of itself.
struct DataPlaneMetrics: Sendable {
    let figures: @Sendable () -> DataPlaneFigures
    let readiness: DataPlane.ServiceStatus

    func write(to text: inout PrometheusText) {
        let figures = figures()
        text.family("countersign_verifications_total", .counter, "Verifications by interface, kind and outcome.")
        let verifications = figures.verifications.sorted { left, right in
            let (left, right) = (left.key, right.key)
            return (left.interface, left.kind, left.outcome) < (right.interface, right.kind, right.outcome)
        }
        for (verification, count) in verifications {
            let labels = [
                ("interface", verification.interface), ("kind", verification.kind), ("outcome", verification.outcome),
            ]
            text.sample("countersign_verifications_total", labels, count)
        }
        text.family(
            "countersign_verification_seconds", .histogram,
            "From a whole request until its answer is written, by interface.")
        for (interface, times) in figures.times.sorted(by: { $0.key < $1.key }) {
            text.histogram(
                "countersign_verification_seconds", [("interface", interface)],
                buckets: Array(zip(DataPlaneFigures.timeBounds, times.counts)), above: times.counts.last ?? 0,
                sum: times.seconds)
        }
        text.family("countersign_callers_refused_total", .counter, "Callers refused, by interface and reason.")
        let refused = figures.refusedCallers.sorted { left, right in
            (left.key.interface, left.key.reason) < (right.key.interface, right.key.reason)
        }
        for (refusal, count) in refused {
            text.sample(
                "countersign_callers_refused_total", [("interface", refusal.interface), ("reason", refusal.reason)],
                count)
        }
        text.single("countersign_cache_hits_total", .counter, "Answered from the cache.", figures.cacheHits)
        text.single("countersign_cache_misses_total", .counter, "Asked the store or the filter.", figures.cacheMisses)
        text.single(
            "countersign_superseded_uses_total", .counter, "Accepted credentials that have a successor already.",
            figures.supersededUses)
        text.single("countersign_connections", .gauge, "Open connections of the data plane.", figures.connections)
        text.single(
            "countersign_buffered_bytes", .gauge, "Unfinished requests and answers that clients do not take.",
            figures.bufferedBytes)
        text.single(
            "countersign_buffer_refusals_total", .counter,
            "Requests refused because unfinished ones exceeded buffer-bytes.", figures.droppedForRoom)
        text.single("countersign_tls_handshakes_total", .counter, "Handshakes completed.", figures.tlsHandshakes)
        text.single(
            "countersign_ready", .gauge, "1 while the node takes traffic.", readiness.current == .ready ? 1 : 0)
    }
}
