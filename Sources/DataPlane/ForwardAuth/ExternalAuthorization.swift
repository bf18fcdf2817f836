import CredentialModel
import HTTPWire
import Verification

/// `ANY /ext_authz/{policy}/…`: the check of Envoy's HTTP service, whose request is the original one with our path in front.
///
/// What follows the policy is the original path and query, taken from the raw bytes: `/ext_authz/p/../oauth2/introspect` is a
/// request for `/../oauth2/introspect`, and is never routed.
struct ExternalAuthorization {
    let forwardAuth: ForwardAuth

    private static let prefix: StaticString = "/ext_authz/"

    /// Whether a path is one of this endpoint's.
    static func owns(_ path: RawSpan) -> Bool {
        let count = prefix.utf8CodeUnitCount
        return path.byteCount >= count && path.slice(WireRange(0, count)).isEqual(prefix)
    }

    func answer(
        _ request: borrowing RequestHead, _ bytes: RawSpan, _ caller: Caller, _ scratch: inout RequestScratch,
        _ out: inout ByteWriter
    ) {
        let target = request.target
        let path = request.path
        let start = path.bounds.lowerBound + Self.prefix.utf8CodeUnitCount
        var end = start
        while end < path.bounds.upperBound, bytes.byte(at: end) != UInt8(ascii: "/") { end += 1 }
        let name = bytes.slice(WireRange(start, end))
        guard let policy = forwardAuth.loop.policies.entry(name) else {
            return out.problem(404, "there is no policy of this name", forwardAuth.exchange, forwardAuth.loop) { _ in }
        }
        answer(WireRange(end, target.bounds.upperBound), under: policy, request, bytes, caller, &scratch, &out)
    }

    /// The same of a listener where every path is the original one.
    func answerWhole(
        under name: [UInt8], _ request: borrowing RequestHead, _ bytes: RawSpan, _ caller: Caller,
        _ scratch: inout RequestScratch, _ out: inout ByteWriter
    ) {
        guard let policy = forwardAuth.loop.policies.entry(name.octets) else {
            return forwardAuth.trouble("the policy of this listener is not configured", &out)
        }
        answer(
            WireRange(request.path.bounds.lowerBound, request.target.bounds.upperBound), under: policy, request, bytes,
            caller, &scratch, &out)
    }

    private func answer(
        _ uri: WireRange, under policy: PolicySet.Entry, _ request: borrowing RequestHead, _ bytes: RawSpan,
        _ caller: Caller, _ scratch: inout RequestScratch, _ out: inout ByteWriter
    ) {
        let original = bytes.slice(uri)
        let host = bytes.slice(request.value(.host) ?? WireRange())
        forwardAuth.answer(
            original, host: host, method: request.method, under: policy, request, bytes, caller, &scratch, &out)
    }
}
