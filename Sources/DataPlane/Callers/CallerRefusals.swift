import CredentialModel
import CredentialStore
import Logging
import Verification

// A caller that is refused leaves a trace: a number, by interface and reason, and now and then a line.
//
// A wrong secret in a gateway's configuration shows here first, and so does somebody who tries secrets. The line names the
// client, but only by an id that some client has: what else stands in the place of an id may be a secret that was put there by
// mistake. It is written once a minute for each client, so that a flood neither fills the log nor hides another client.

/// Why a caller is refused.
enum CallerRefusal: Int, CaseIterable {
    case unauthenticated, invalidClient, invalidToken, forbidden, malformed

    /// Nil for what is no refusal of the caller.
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

/// Whom a refused caller said to be, as far as that may be told.
enum RefusedCaller: Hashable {
    case client(String)
    /// A credential of our own format, by its public id.
    case credential(CredentialID)
    case unknown
}

/// The refusals of one event loop.
final class CallerRefusals {
    private let counts = InlineArray<64, SingleWriterCounter> { _ in SingleWriterCounter() }
    private let logger: Logger
    /// When a line about somebody was last written, in the loop's seconds.
    private var saidAt: [RefusedCaller: Int64] = [:]
    private var unsaid: UInt64 = 0

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
        if let last = saidAt[caller], ticks - last < Self.quietSeconds { return unsaid &+= 1 }
        if saidAt.count >= Self.namesMax { saidAt = saidAt.filter { ticks - $0.value < Self.quietSeconds } }
        guard saidAt.count < Self.namesMax else { return unsaid &+= 1 }
        saidAt[caller] = ticks
        var metadata: Logger.Metadata = ["interface": .string(interface.name), "reason": .string(reason.name)]
        switch caller {
        case .client(let id): metadata["client"] = .string(id)
        case .credential(let id): metadata["credential"] = .string(id.description)
        case .unknown: break
        }
        if let peer { metadata["peer"] = .string(peer.description) }
        if unsaid > 0 { metadata["not logged before"] = .stringConvertible(unsaid) }
        unsaid = 0
        logger.warning("a caller was refused", metadata: metadata)
    }
}
