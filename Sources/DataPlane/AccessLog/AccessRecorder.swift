import CMachine
import CredentialModel
import HTTPWire
import NIOCore
import RecordCache
import Verification

// What a line says is known at different places: the outcome where a credential is judged, the address where a policy asks for it,
// the status when the response is written. Each place notes what it knows here, if the request is recorded
// (``LoopState/isRecording``). For a request that is not, all of this is a few reads of two flags.

/// Records the requests of one event loop for the access log. Only the loop's thread uses it.
final class AccessRecorder {
    /// What became of a request for which nothing was verified, where its status does not say it.
    enum Unverified {
        /// It needs no credential.
        case preflight
        case malformed
        /// Its gateway names no policy that there is, say.
        case notJudged
        /// It waits for changes.
        case waits

        fileprivate var name: String {
            switch self {
            case .preflight: "preflight"
            case .malformed: "malformed_request"
            case .notJudged: "not_judged"
            case .waits: "waiting"
            }
        }

        fileprivate var isAccepted: Bool {
            switch self {
            case .preflight, .waits: true
            case .malformed, .notJudged: false
            }
        }
    }

    /// What is known so far of the request that is answered.
    private struct Entry {
        /// Of the last credential.
        var outcome: VerificationOutcome?
        var unverified: Unverified?
        var kind: CredentialKind?
        var id: CredentialID?
        var client: UInt32 = 0
        var credentials = 0
        var accepted = 0
        var policy: [UInt8] = []
        var address: IPAddress?
    }

    private let log: AccessLog
    private let interned: InternedTable
    private var sampling = AccessLog.Sampling.none
    /// Requests until the next one that is recorded.
    private var left: UInt32 = 0
    private var entry = Entry()
    private var lines = ByteBuffer()
    private var count: UInt64 = 0
    private var second = PreparedSecond(0)

    /// A buffer of this size is handed over.
    private static let bufferBytes = 32_768

    init(_ log: AccessLog, _ interned: InternedTable) {
        (self.log, self.interned) = (log, interned)
    }

    /// Changes which requests are recorded from the next one on.
    func use(_ sampling: AccessLog.Sampling) {
        self.sampling = sampling
        left = 0
    }

    // MARK: One request

    /// A request begins, or is answered again. Only ``skip()`` and ``finish(_:peer:status:since:_:)`` count it.
    /// - Returns: whether it is recorded.
    func begin() -> Bool {
        guard left == 0 else { return false }
        entry = Entry()
        return true
    }

    /// A credential was judged.
    /// - Parameter record: not modified; `inout` avoids a 168-byte copy.
    func note(_ outcome: VerificationOutcome, on record: inout CredentialRecord) {
        remember(outcome, record.kind, record.id, record.client)
    }

    /// Nothing was judged, or it could not be.
    func note(_ outcome: VerificationOutcome) { remember(outcome, nil, nil, 0) }

    /// Nothing was verified.
    func note(_ unverified: Unverified) { entry.unverified = unverified }

    /// The address from which the credential came, as far as the caller says it.
    func note(address: IPAddress?) { entry.address = address }

    /// The policy by which a gateway's request is judged.
    func note(policy: [UInt8]) { entry.policy = policy }

    private func remember(
        _ outcome: VerificationOutcome, _ kind: CredentialKind?, _ id: CredentialID?, _ client: UInt32
    ) {
        entry.credentials += 1
        if outcome == .valid { entry.accepted += 1 }
        entry.outcome = outcome
        entry.unverified = nil
        // The record of a credential that is not known is that of another one.
        let isKnown = outcome != .inactive(.unknown) && outcome != .inactive(.malformed)
        (entry.kind, entry.id, entry.client) = isKnown ? (kind, id, client) : (nil, nil, 0)
    }

    /// A request that is not recorded is answered.
    func skip() { if left > 0 { left -= 1 } }

    /// The request that was recorded is answered.
    /// - Parameters:
    ///   - interface: its name; nil: nothing is served at its path.
    ///   - peer: the address of the connection.
    ///   - status: of HTTP; nil where there is none.
    ///   - start: ``cs_ticks()`` when it was complete.
    func finish(
        _ interface: VerificationInterface?, peer: IPAddress?, status: UInt16?, since start: UInt64,
        _ correlation: Correlation?
    ) {
        if case .oneIn(let number) = sampling { left = number - 1 }
        let isAccepted =
            entry.accepted == entry.credentials && entry.unverified?.isAccepted ?? true && status ?? 200 < 400
        if sampling == .errors, isAccepted { return }
        let now = cs_wall_nanoseconds()
        if second.number != now / 1_000_000_000 { second = PreparedSecond(now / 1_000_000_000) }
        let microseconds = VerificationTimes.microseconds(since: start)
        _ = lines.appendAnswer { out in
            out.append("{\"time\":\"")
            let time = second.text
            out.append(time.octets)
            out.append(microsecondsOf: now)
            out.append("Z\",\"interface\":\"")
            out.append(text: interface?.name ?? "none")
            if let status {
                out.append("\",\"status\":")
                out.append(decimal: UInt64(status))
                out.append(",\"outcome\":\"")
            } else {
                out.append("\",\"outcome\":\"")
            }
            out.append(text: entry.outcome?.name ?? entry.unverified?.name ?? Self.outcome(of: status))
            out.append("\"")
            write(entry, &out)
            if let peer { out.append(member: "peer", text: peer.description) }
            out.append(",\"microseconds\":")
            out.append(decimal: microseconds)
            if let correlation {
                let members = correlation.members
                out.append(members.octets)
            }
            out.append("}\n")
        }
        count += 1
        if lines.readableBytes >= Self.bufferBytes { handOver() }
    }

    /// The outcome of a request for which nothing was verified.
    private static func outcome(of status: UInt16?) -> String {
        switch status {
        case 401: "unknown_caller"
        case 403: "forbidden"
        case 404, 405: "not_served"
        case let status? where status >= 500: "trouble"
        case let status? where status >= 400: "malformed_request"
        case nil: "not_judged"
        default: "answered"
        }
    }

    private func write(_ entry: Entry, _ out: inout ByteWriter) {
        if entry.credentials > 1 {
            out.append(",\"credentials\":")
            out.append(decimal: UInt64(entry.credentials))
            out.append(",\"accepted\":")
            out.append(decimal: UInt64(entry.accepted))
        } else if let id = entry.id {
            if let kind = entry.kind { out.append(member: "kind", text: kind.name) }
            out.append(",\"id\":\"")
            out.append(base62: id.rawValue)
            out.append("\"")
            if entry.client != 0 {
                out.append(",\"client_id\":\"")
                interned.withText(.client, entry.client) { out.append(jsonEscaped: $0) }
                out.append("\"")
            }
        }
        if !entry.policy.isEmpty {
            out.append(",\"policy\":\"")
            out.append(jsonEscaped: entry.policy.octets)
            out.append("\"")
        }
        if let address = entry.address { out.append(member: "address", text: address.description) }
    }

    /// Hands over what there is. Called once a second, and when the loop ends.
    func handOver() {
        guard count > 0 else { return }
        log.give(lines, count: count)
        // The other one is being written.
        lines = ByteBuffer()
        count = 0
    }
}

/// The time of a line up to the second.
private struct PreparedSecond {
    let number: UInt64
    /// `2026-12-01T08:40:00.`
    let text: [UInt8]

    init(_ number: UInt64) {
        self.number = number
        text = Array("\(HTTPDate.iso8601(Int64(clamping: number))).".utf8)
    }
}

extension ByteWriter {
    fileprivate mutating func append(text: String) {
        let bytes = Array(text.utf8)
        append(bytes.octets)
    }

    /// A member behind another one, whose value needs no escaping.
    fileprivate mutating func append(member name: StaticString, text: String) {
        append(",\"")
        append(name)
        append("\":\"")
        append(text: text)
        append("\"")
    }

    /// Six digits.
    fileprivate mutating func append(microsecondsOf nanoseconds: UInt64) {
        var rest = nanoseconds / 1_000 % 1_000_000
        var divisor: UInt64 = 100_000
        while divisor > 0 {
            append(byte: UInt8(ascii: "0") + UInt8(rest / divisor))
            rest %= divisor
            divisor /= 10
        }
    }
}
