/// What the control plane reports through swift-metrics.
public enum ControlPlaneMetric: String, CaseIterable, Sendable {
    case requests = "countersign_control_requests"
    case requestTime = "countersign_control_request"
    case connectionsRefused = "countersign_control_connections_refused"
    case connectionsEvicted = "countersign_control_connections_evicted"
    case reuses = "countersign_oauth_reuses"

    /// One sentence.
    public var help: String {
        switch self {
        case .requests: "Requests to administration and OAuth, by method, route and status."
        case .requestTime: "Time from the head of such a request until its answer is handed over, by route."
        case .connectionsRefused: "Connections of the control plane that found no room, by listener."
        case .connectionsEvicted: "Idle connections of the control plane that were closed to make room, by listener."
        case .reuses: "Authorization codes and refresh tokens that were used twice, by grant."
        }
    }
}
