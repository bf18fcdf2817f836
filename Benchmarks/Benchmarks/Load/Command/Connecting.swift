import LoadParts
import NIOCore

/// How a run gets its connections, and gets them back.
extension Generator {
    /// More at once would overflow the listener's queue, and a lost SYN is sent again only after a second.
    private static let connectingMax = 64
    private static let reconnectNanoseconds = 100_000_000

    func connectMore() {
        while toConnect > 0, connecting < Self.connectingMax {
            toConnect -= 1
            connecting += 1
            connect()
        }
    }

    func opened(_ connection: Connection) {
        opened.append(connection)
        switch phase {
        case .connecting: settleOne()
        case .running: admit(connection)
        case .draining, .finished: break
        }
    }

    /// - Parameter reason: what the system or the TLS library says.
    func couldNotConnect(_ reason: String) {
        guard phase != .finished else { return }
        measurements.failedConnects += 1
        if measurements.failedConnects <= Self.shownMax { Console.note("cannot connect: \(reason)") }
        if phase == .connecting { settleOne(failure: reason) } else { reconnectLater() }
    }

    /// A server that is away is asked for each connection ten times a second, as long as the run goes on.
    func reconnectLater() {
        guard phase == .running else { return }
        at(Self.now + Self.reconnectNanoseconds) { if $0.phase == .running { $0.connect() } }
    }

    private func connect() {
        connector.connect(
            Connection(generator: self, pipeline: plan.pipeline, isEncrypted: connector.isEncrypted), for: self,
            on: loop)
    }

    /// One of the connections is there or has failed; with the last of them the run begins.
    private func settleOne(failure: String? = nil) {
        connecting -= 1
        connectMore()
        guard toConnect == 0, connecting == 0 else { return }
        if opened.isEmpty { finish(failure ?? "all connections were closed at once") } else { begin() }
    }
}
