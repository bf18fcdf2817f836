import CredentialModel
import Logging
import Verification

// Refused callers are counted by interface and reason, and logged at a bounded rate.
//
// They show wrong secrets in the configuration of gateways, and attempts to guess secrets. The log line names the
// client only by an id that exists: any other text in its place may be a secret that was put there by mistake. It is
// written once a minute for each client, so that a flood neither fills the log nor hides another client.

/// Why a caller is refused.
enum CallerRefusal: Int, CaseIterable {
    case unauthenticated, invalidClient, invalidToken, forbidden, malformed

    /// Nil if the caller is not the reason.
    init?(_ refusal: Refusal) {
        switch refusal {
        case .unauthenticated: self = .unauthenticated
        case .invalidClient: self = .invalidClient
        case .invalidToken: self = .invalidToken
        case .forbidden: self = .forbidden
        case .malformed: self = .malformed
        case .notFound, .tooLarge, .wrongType, .unavailable: return nil
        }
    }

    var name: String {
        switch self {
        case .unauthenticated: "unauthenticated"
        case .invalidClient: "invalid_client"
        case .invalidToken: "invalid_token"
        case .forbidden: "forbidden"
        case .malformed: "malformed"
        }
    }
}

/// The claimed identity of a refused caller, as far as it may be logged.
enum RefusedCaller: Hashable {
    case client(String)
    /// A credential in the native format, by its public id.
    case credential(CredentialID)
    case unknown
}

/// The refused callers of one event loop.
final class CallerRefusals {
    private let counts = InlineArray<64, SingleWriterCounter> { _ in SingleWriterCounter() }
    private let logger: Logger
    /// The second of the loop at which a line about a caller was last written.
    private var loggedAt: [RefusedCaller: Int64] = [:]
    private var suppressed: UInt64 = 0

    private static let quietSeconds: Int64 = 60
    private static let namesMax = 64

    init(logger: Logger) {
        self.logger = logger
    }

    func count(_ interface: VerificationInterface, _ reason: CallerRefusal) -> UInt64 {
        counts[interface.rawValue &* 8 &+ reason.rawValue].value
    }

    /// - Parameter ticks: the loop's seconds.
    @inline(never)
    func note(
        _ interface: VerificationInterface, _ reason: CallerRefusal, _ caller: RefusedCaller, from peer: IPAddress?,
        at ticks: Int64
    ) {
        counts[interface.rawValue &* 8 &+ reason.rawValue].increment()
        if let last = loggedAt[caller], ticks - last < Self.quietSeconds { return suppressed &+= 1 }
        if loggedAt.count >= Self.namesMax { loggedAt = loggedAt.filter { ticks - $0.value < Self.quietSeconds } }
        guard loggedAt.count < Self.namesMax else { return suppressed &+= 1 }
        loggedAt[caller] = ticks
        var metadata: Logger.Metadata = ["interface": .string(interface.name), "reason": .string(reason.name)]
        switch caller {
        case .client(let id): metadata["client"] = .string(id)
        case .credential(let id): metadata["credential"] = .string(id.description)
        case .unknown: break
        }
        if let peer { metadata["peer"] = .string(peer.description) }
        if suppressed > 0 { metadata["not logged before"] = .stringConvertible(suppressed) }
        suppressed = 0
        logger.warning("a caller was refused", metadata: metadata)
    }
}
