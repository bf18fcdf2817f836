/// What a connection of the control plane is doing, and its deadlines.
///
/// A value without a clock: its owner calls ``tick()`` once a second and closes the connection when it says so. Seconds
/// are counted from the start of the connection.
struct ConnectionTimer {
    enum Phase {
        /// Nothing has been received; includes the TLS handshake.
        case fresh
        /// Between requests.
        case idle
        case readingHead
        case readingBody
        /// The whole request is with the routes.
        case answering
        /// The last response is being sent.
        case finishing
        /// It has been sent; the client has to close its side.
        case closing
    }

    enum Expiry {
        /// The request did not arrive in time.
        case request
        /// The connection was idle, or its client stopped reading, for too long.
        case connection
    }

    private(set) var phase = Phase.fresh
    private var now: Int64 = 0
    private var phaseBegan: Int64 = 0
    /// Writes that the client has not accepted.
    private var pendingWrites = 0
    /// When a write was accepted last.
    private var lastAccepted: Int64 = 0
    /// Since when there are pending writes, however slowly the client accepts them.
    private var pendingSince: Int64 = 0

    /// No further request is read.
    var isEnding: Bool { phase == .finishing || phase == .closing }

    /// The client reads its response too slowly to keep its connection if others need one.
    var isSlowReader: Bool { pendingWrites > 0 && now - pendingSince > ControlPlaneLimits.slowReaderSeconds }

    /// What the listener may evict the connection for.
    var activity: ConnectionLimit.Activity {
        switch phase {
        case .fresh, .readingHead, .closing: .readingHead
        case .idle: .idle
        case .readingBody: .readingBody
        case .answering, .finishing: isSlowReader ? .slowReader : .answering
        }
    }

    /// - Returns: whether the phase is a new one.
    mutating func enter(_ new: Phase) -> Bool {
        guard new != phase else { return false }
        phase = new
        phaseBegan = now
        return true
    }

    mutating func writeBegan() {
        if pendingWrites == 0 { (lastAccepted, pendingSince) = (now, now) }
        pendingWrites += 1
    }

    /// - Returns: whether no write is pending any more.
    mutating func writeEnded() -> Bool {
        pendingWrites -= 1
        lastAccepted = now
        return pendingWrites == 0
    }

    /// Advances by one second.
    /// - Returns: the deadline that has passed, if any. A request that is being answered has none.
    mutating func tick() -> Expiry? {
        now += 1
        if pendingWrites > 0, now - lastAccepted > ControlPlaneLimits.writeSeconds { return .connection }
        let (limit, expiry): (Int64, Expiry)
        switch phase {
        case .fresh: (limit, expiry) = (ControlPlaneLimits.firstByteSeconds, .connection)
        case .idle: (limit, expiry) = (ControlPlaneLimits.idleSeconds, .connection)
        case .readingHead: (limit, expiry) = (ControlPlaneLimits.headSeconds, .request)
        case .readingBody: (limit, expiry) = (ControlPlaneLimits.bodySeconds, .request)
        case .answering: return nil
        case .finishing: (limit, expiry) = (ControlPlaneLimits.writeSeconds, .connection)
        case .closing: (limit, expiry) = (ControlPlaneLimits.lingerSeconds, .connection)
        }
        return now - phaseBegan > limit ? expiry : nil
    }
}
