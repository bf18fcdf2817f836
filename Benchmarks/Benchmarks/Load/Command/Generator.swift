import LoadParts
import NIOCore

/// Sends requests when they are due and measures their answers, all on one event loop.
///
/// How the schedule is kept: a timer of the loop is always set for the next due time, with nanoseconds' resolution
/// (timerfd), and each answer that is read also sends whatever has come due meanwhile. The timer is not set again within
/// 50 µs, or at high rates each request would pay for a wake-up of its own; so a send is late by at most that and the time
/// the loop takes to come around, which ``Measurements/lateness`` reports. Nothing is ever sent early. One core is enough
/// for tens of thousands of requests a second; a loop that spun on the clock would steal a shared core from the server.
final class Generator: NIOScheduledCallbackHandler {
    enum Phase {
        case connecting
        case running
        /// Nothing more is sent; answers are awaited.
        case draining
        case finished
    }

    let plan: Plan
    let connector: Connector
    let loop: any EventLoop
    var phase = Phase.connecting
    var measurements = Measurements(since: Int.max)
    /// Connections that have yet to be asked for, and those that were asked for, before the run begins.
    var (toConnect, connecting) = (0, 0)
    var opened: [Connection] = []
    private let outcome: EventLoopPromise<Outcome>
    private var mix: RequestMix
    private var schedule = Schedule.empty
    /// Connections with room, the one that has waited longest first. Some may have closed since.
    private var free = CircularBuffer<Connection>()
    private var unflushed: [Connection] = []
    /// Whether requests are due and no connection has room.
    private var isStarved = false
    private var inFlight = 0
    private var (since, end, lastAnswer) = (0, 0, 0)
    private var clockAtStart: ThreadClock?
    private var mismatchesShown = 0

    /// Nanoseconds between two settings of the timer, at least.
    private static let timerNanoseconds = 50_000
    /// Nanoseconds until the timer looks again when requests wait for connections: answers move them on, not time.
    private static let starvedNanoseconds = 1_000_000
    private static let drainNanoseconds = 5_000_000_000

    /// Nanoseconds of the monotonic clock.
    static var now: Int { Int(NIODeadline.now().uptimeNanoseconds) }

    init(_ plan: Plan, _ mix: RequestMix, _ connector: Connector, on loop: any EventLoop) {
        self.plan = plan
        self.mix = mix
        self.connector = connector
        self.loop = loop
        outcome = loop.makePromise()
    }

    /// Connects, warms up, measures and ends.
    func run() -> EventLoopFuture<Outcome> {
        toConnect = plan.connections
        connectMore()
        return outcome.futureResult
    }

    func begin() {
        let now = Self.now
        since = now + plan.warmupNanoseconds
        end = since + plan.measuredNanoseconds
        let (failed, closed) = (measurements.failedConnects, measurements.closedConnections)
        measurements = Measurements(since: since)
        (measurements.failedConnects, measurements.closedConnections) = (failed, closed)
        phase = .running
        for _ in opened.count..<plan.connections { reconnectLater() }
        at(since) { $0.warmedUp() }
        at(end) { $0.stop() }
        if plan.isClosedLoop {
            for connection in opened { fill(connection, now) }
        } else {
            schedule = Schedule(start: now, rate: plan.rate, end: end, queueMax: plan.queueMax)
            for connection in opened { list(connection) }
            pump(now)
            setTimer(now)
        }
    }

    func handleScheduledCallback(eventLoop: some EventLoop) {
        let now = Self.now
        pump(now)
        setTimer(now)
    }

    func answered(_ flight: Flight, _ response: Response, _ bytes: Span<UInt8>, at now: Int) {
        inFlight -= 1
        lastAnswer = now
        let asExpected = plan.expectation.isMet(by: response, bytes, asked: flight.asked)
        if !asExpected { show(response) }
        measurements.answered(due: flight.due, at: now, asExpected: asExpected)
    }

    /// All answers of one read have been told.
    func readComplete(_ connection: Connection) {
        switch phase {
        case .running where plan.isClosedLoop:
            fill(connection, Self.now)
        case .running:
            list(connection)
            pump(Self.now)
        case .draining where inFlight == 0: finish()
        case .connecting, .draining, .finished: break
        }
    }

    func closed(_ connection: Connection, lost: Int, after error: (any Error)?) {
        guard phase != .finished else { return }
        inFlight -= lost
        measurements.lostAnswers += lost
        measurements.closedConnections += 1
        if measurements.closedConnections <= Self.shownMax {
            let reason = error.map(FailureText.of) ?? "closed by the server"
            Console.note("a connection ended with \(lost) answers outstanding: \(reason)")
        }
        opened.removeAll { $0 === connection }
        if phase == .draining, inFlight == 0 { finish() }
        reconnectLater()
    }

    /// Ends early; what was measured so far counts. A second call does not wait for answers.
    func interrupt() {
        guard phase == .connecting || phase == .running else { return finish() }
        measurements.isInterrupted = true
        end = Self.now
        guard phase == .running else {
            since = end
            return finish()
        }
        stop()
    }

    /// Does something later, on the loop.
    func at(_ time: Int, _ body: @escaping (Generator) -> Void) {
        loop.assumeIsolated().scheduleTask(deadline: .uptimeNanoseconds(UInt64(time))) { body(self) }
    }

    func finish(_ unreachable: String? = nil) {
        guard phase != .finished else { return }
        phase = .finished
        measurements.lostAnswers += inFlight
        measurements.elapsedNanoseconds = max(max(end, lastAnswer) - since, 0)
        if let earlier = clockAtStart {
            let now = ThreadClock.now
            measurements.generatorNanoseconds = now.ran - earlier.ran
            if let later = now.waited, let before = earlier.waited {
                measurements.generatorWaitedNanoseconds = later - before
            }
        }
        outcome.succeed(unreachable.map { .unreachable($0) } ?? .measured(measurements))
    }

    // MARK: Sending

    /// Sends what is due, as far as connections have room.
    private func pump(_ now: Int) {
        guard phase == .running, schedule.nextDue <= now else { return }
        while schedule.nextDue <= now {
            guard let connection = nextFree() else {
                isStarved = true
                schedule.bound(at: now)
                return flush()
            }
            let due = schedule.take()
            measurements.sent(due: due, at: now, hasWaited: isStarved)
            send(due, on: connection)
            list(connection)
        }
        isStarved = false
        flush()
    }

    /// Lets a connection of a closed loop have as many requests under way as it may.
    private func fill(_ connection: Connection, _ now: Int) {
        guard phase == .running else { return }
        while connection.hasRoom { send(now, on: connection) }
        flush()
    }

    private func send(_ due: Int, on connection: Connection) {
        if !connection.hasUnsent { unflushed.append(connection) }
        let (asked, request) = mix.next()
        connection.add(Flight(due: due, asked: asked), request)
        inFlight += 1
    }

    private func flush() {
        while let connection = unflushed.popLast() { connection.flush() }
    }

    private func setTimer(_ now: Int) {
        guard phase == .running, schedule.nextDue < Int.max else { return }
        let wake = isStarved ? now + Self.starvedNanoseconds : max(schedule.nextDue, now + Self.timerNanoseconds)
        // Throws only when the loop has ended.
        _ = try? loop.assumeIsolated().scheduleCallback(at: .uptimeNanoseconds(UInt64(wake)), handler: self)
    }

    // MARK: Connections with room

    func list(_ connection: Connection) {
        guard !connection.isListed, connection.hasRoom else { return }
        connection.isListed = true
        free.append(connection)
    }

    private func nextFree() -> Connection? {
        while let connection = free.popFirst() {
            connection.isListed = false
            if connection.hasRoom { return connection }
        }
        return nil
    }

    /// A connection that came back in the midst of a run.
    func admit(_ connection: Connection) {
        if plan.isClosedLoop { fill(connection, Self.now) } else { list(connection) }
    }

    // MARK: Beginning and end

    private func warmedUp() {
        guard phase == .running else { return }
        clockAtStart = ThreadClock.now
        schedule.forget(before: since)
        if Console.isWatched { showProgress() }
    }

    private func stop() {
        guard phase == .running else { return }
        let now = Self.now
        pump(now)
        phase = .draining
        schedule.finish(at: now)
        measurements.dropped = schedule.dropped
        if inFlight == 0 { finish() } else { at(now + Self.drainNanoseconds) { $0.finish() } }
    }

    // MARK: What is told meanwhile

    static let shownMax = 5

    /// Tells the first few wrong answers by their outside: a body may hold what nobody should read in a log.
    private func show(_ response: Response) {
        guard mismatchesShown < Self.shownMax else { return }
        mismatchesShown += 1
        Console.note("not the expected answer: status \(response.status) with \(response.body.count) bytes")
    }

    private func showProgress() {
        guard phase == .running else { return }
        Console.note("\(measurements.requests) answers, p99 \(measurements.latencyMicroseconds(percentile: 99)) us")
        at(Self.now + 1_000_000_000) { $0.showProgress() }
    }
}
