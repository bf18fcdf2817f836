import LoadParts

/// How a run goes.
struct Plan: Sendable {
    /// Requests a second; 0 is a closed loop, in which each connection keeps `pipeline` requests under way.
    let rate: Double
    let connections: Int
    /// Requests that may be under way on one connection.
    let pipeline: Int
    let warmupNanoseconds: Int
    let measuredNanoseconds: Int
    /// Requests that may wait for a connection before the oldest are dropped.
    let queueMax: Int
    let expectation: ExpectedAnswer

    var isClosedLoop: Bool { rate == 0 }
}

/// How a run ended.
enum Outcome: Sendable {
    case measured(Measurements)
    /// Not one connection could be made.
    case unreachable(String)
}
