import Cluster
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import NIOCore
import NIOHTTP2
import NetworkAddress
import Synchronization

// One connection to each member of etcd, of which one is used at a time. If a call fails, the next one goes to another
// member. A call that failed may have been executed all the same; whoever called knows what that means.

typealias EtcdConnection = GRPCClient<HTTP2ClientTransport.Posix>

/// The members of an etcd cluster.
final class EtcdClient: Sendable {
    private struct Member {
        let endpoint: EtcdAddress.Endpoint
        let connection: EtcdConnection
        /// Nil until it was asked, and again after a failure: it may be another version now.
        var check: EtcdMemberCheck?
        /// It was not there; others are asked until then, if there are any.
        var awayUntil: ContinuousClock.Instant?
        /// Its connection has been there.
        var hasAnswered = false
    }

    private struct State {
        var members: [Member]
        var preferred = 0
        /// Of the first member that answered: all must have the same.
        var clusterID: UInt64?
        /// The highest revision of a reply that was ordered by Raft.
        var revision: Int64 = 0
        /// How long replies take.
        var replyTime = EtcdClient.timeoutMax / EtcdClient.timeoutFactor
        /// A request without a reply for so long is sent to another member. When a leader dies, what it was to answer is
        /// lost, and a follower waits for it for seconds; a new leader is elected in one to two.
        var timeout: Duration {
            min(max(replyTime * EtcdClient.timeoutFactor, EtcdClient.timeoutMin), EtcdClient.timeoutMax)
        }

        mutating func note(_ taken: Duration) { replyTime = (replyTime * 15 + taken) / 16 }

        /// Another member than one that has failed.
        mutating func leave(_ index: Int, isAway: Bool) {
            members[index].check = nil
            if isAway { members[index].awayUntil = .now + EtcdClient.awayPause }
            guard preferred == index else { return }
            let others = (1..<members.count).map { (index + $0) % members.count }
            let present = others.first { members[$0].awayUntil.map { $0 < .now } ?? true }
            preferred = present ?? (index + 1) % members.count
        }
    }

    private let state: Mutex<State>
    /// Versions that may be used although they lose data: for tests.
    private let allowed: Set<String>

    static let messageBytesMax = 64 << 20
    private static let checkTimeout = Duration.seconds(1)
    private static let checkPause = Duration.milliseconds(20)
    fileprivate static let timeoutMin = Duration.milliseconds(400)
    fileprivate static let timeoutMax = Duration.seconds(1)
    /// A reply that takes so many times longer than usual is not waited for.
    fileprivate static let timeoutFactor = 8
    fileprivate static let awayPause = Duration.seconds(1)

    /// - Throws: ``EtcdAddress/Fault`` when the certificates cannot be used.
    init(_ address: EtcdAddress, allowed: Set<String>) throws(EtcdAddress.Fault) {
        self.allowed = allowed
        var members: [Member] = []
        for endpoint in address.endpoints {
            do {
                let transport = try HTTP2ClientTransport.Posix(
                    target: Self.target(endpoint), transportSecurity: Self.security(address.identity),
                    config: .defaults { config in
                        config.channelDebuggingCallbacks.onCreateTCPConnection = { Self.answerPings(on: $0) }
                    })
                members.append(Member(endpoint: endpoint, connection: GRPCClient(transport: transport)))
            } catch {
                throw EtcdAddress.Fault(
                    reason: "the files of ca, cert and key cannot be used: check that they exist and are in PEM")
            }
        }
        state = Mutex(State(members: members))
    }

    /// See ``PingAnswers``.
    private static func answerPings(on channel: any Channel) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            let http = try pipeline.handler(type: NIOHTTP2Handler.self)
            try pipeline.addHandler(PingAnswers(), position: .before(http))
        }
    }

    private static func target(_ endpoint: EtcdAddress.Endpoint) -> any ResolvableTarget {
        guard let address = IPAddress(endpoint.host) else { return .dns(host: endpoint.host, port: endpoint.port) }
        return address.isV4
            ? .ipv4(address: endpoint.host, port: endpoint.port) : .ipv6(address: endpoint.host, port: endpoint.port)
    }

    private static func security(
        _ identity: EtcdAddress.Identity?
    ) -> HTTP2ClientTransport.Posix.TransportSecurity {
        guard let identity else { return .plaintext }
        return .mTLS(
            certificateChain: [.file(path: identity.certificate, format: .pem)],
            privateKey: .file(path: identity.key, format: .pem)
        ) { $0.trustRoots = .certificates([.file(path: identity.authorities, format: .pem)]) }
    }

    /// Keeps the connections until it is cancelled.
    func run() async {
        let connections = state.withLock { $0.members.map(\.connection) }
        await withDiscardingTaskGroup { group in
            for connection in connections { group.addTask { try? await connection.runConnections() } }
        }
    }

    /// Calls the preferred member and, if it is not there, once more another one: the request may be executed twice.
    /// After a fault, the next call goes to another member.
    /// - Parameter isLong: whether the reply may have many bytes.
    func call<Reply: Sendable>(
        isLong: Bool = false, _ body: @Sendable (EtcdConnection, CallOptions) async throws -> Reply
    ) async throws(EngineFault) -> Reply {
        var options = CallOptions.defaults
        options.timeout = isLong ? Self.timeoutMax : state.withLock(\.timeout)
        options.waitForReady = false
        options.maxResponseMessageBytes = Self.messageBytesMax
        options.maxRequestMessageBytes = Self.messageBytesMax
        for attempt in 1...2 {
            let (index, connection) = try await checkedMember()
            let begun = ContinuousClock.now
            do {
                let reply = try await body(connection, options)
                if !isLong { state.withLock { $0.note(.now - begun) } }
                return reply
            } catch {
                // One that gave no reply in time may only be slow: then it is waited for a little longer.
                state.withLock { state in
                    if !isLong, (error as? RPCError)?.code == .deadlineExceeded { state.note(.now - begun) }
                    state.leave(index, isAway: false)
                }
                guard attempt == 1, (error as? RPCError)?.code == .unavailable else { break }
            }
        }
        throw .unavailable
    }

    /// The connection that is preferred now, for a call without an end.
    func connection() async throws(EngineFault) -> (EtcdConnection, giveUp: @Sendable () -> Void) {
        let (index, connection) = try await checkedMember()
        return (connection, { self.state.withLock { $0.leave(index, isAway: false) } })
    }

    // MARK: Whom to trust

    private func checkedMember() async throws(EngineFault) -> (Int, EtcdConnection) {
        let (index, member) = state.withLock { ($0.preferred, $0.members[$0.preferred]) }
        let check: EtcdMemberCheck
        if let known = member.check {
            check = known
        } else {
            check = await ask(
                member.connection, for: member.hasAnswered ? state.withLock(\.timeout) : Self.checkTimeout)
            state.withLock { state in
                if case .unreachable = check { return }
                (state.members[index].check, state.members[index].awayUntil) = (check, nil)
                state.members[index].hasAnswered = true
            }
        }
        guard case .usable = check else {
            state.withLock { $0.leave(index, isAway: true) }
            throw .unavailable
        }
        return (index, member.connection)
    }

    private func ask(_ connection: EtcdConnection, for patience: Duration) async -> EtcdMemberCheck {
        var options = CallOptions.defaults
        options.timeout = patience
        // The connection may be on its way. Not `waitForReady`: a call that is made before `run` has begun waits for ever.
        options.waitForReady = false
        let end = ContinuousClock.now + patience
        var reply: Etcdserverpb_StatusResponse?
        repeat {
            reply = try? await Etcdserverpb_Maintenance.Client(wrapping: connection).status(
                Etcdserverpb_StatusRequest(), options: options)
            if reply == nil { try? await Task.sleep(for: Self.checkPause) }
        } while reply == nil && .now < end && !Task.isCancelled
        guard let status = reply else { return .unreachable }
        let clusterID = state.withLock { state in
            let known = state.clusterID ?? status.header.clusterID
            state.clusterID = known
            return known
        }
        guard status.header.clusterID == clusterID else {
            return .refused("it belongs to another etcd cluster than the others")
        }
        guard let version = EtcdVersion(status.version) else { return .refused("its version cannot be read") }
        if let refusal = version.refusal, !allowed.contains(version.description) {
            return .refused("it is etcd \(version), and \(refusal)")
        }
        if status.isLearner { return .refused("it is a learner, which cannot serve nodes") }
        return .usable(version)
    }

    /// Asks every member once: to be told at the start which cannot be used, and why.
    func checks() async -> [(endpoint: EtcdAddress.Endpoint, check: EtcdMemberCheck)] {
        var checks: [(EtcdAddress.Endpoint, EtcdMemberCheck)] = []
        for member in state.withLock({ $0.members }) {
            checks.append((member.endpoint, await ask(member.connection, for: Self.checkTimeout)))
        }
        return checks
    }

    /// The revision below which no reply can be that Raft orders from now on.
    var floor: Int64 { state.withLock { $0.revision } }

    /// Notes the revision of a reply that Raft ordered.
    /// - Parameter floor: as it was when the request was sent.
    /// - Throws: the member or the whole cluster was put back to an older state.
    func note(_ header: Etcdserverpb_ResponseHeader, since floor: Int64) throws(EngineFault) {
        guard header.revision >= floor else { throw .unusable(.engineLostHistory) }
        state.withLock { $0.revision = max($0.revision, header.revision) }
    }
}

/// Whether a member can be used.
enum EtcdMemberCheck: Sendable {
    case usable(EtcdVersion)
    case refused(String)
    case unreachable
}
