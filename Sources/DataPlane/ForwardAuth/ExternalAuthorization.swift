import CredentialModel
import ForwardAuth
import HTTPWire
import NIOCore
import Verification

/// `ANY /ext_authz/{policy}/…`: the check of Envoy's HTTP service, whose request is the original one with our path in front.
///
/// What follows the policy is the original path and query, taken from the raw bytes: `/ext_authz/p/../oauth2/introspect` is a
/// request for `/../oauth2/introspect`, and is never routed.
struct ExternalAuthorization: ~Copyable, ~Escapable {
    private let forwardAuth: ForwardAuthEndpoint

    static let prefix: StaticString = "/ext_authz/"

    @_lifetime(copy context)
    init(_ context: consuming RequestContext, _ peer: IPAddress?) {
        forwardAuth = ForwardAuthEndpoint(context, peer)
    }

    func answer(_ scratch: inout RequestScratch, _ out: inout ByteBuffer) {
        let path = forwardAuth.context.request.path
        let start = Self.prefix.utf8CodeUnitCount
        var end = start
        while end < path.byteCount, path.byte(at: end) != UInt8(ascii: "/") { end += 1 }
        guard let policy = forwardAuth.context.loop.policies.entry(path.slice(WireRange(start, end))) else {
            return out.appendRefusal(
                .notFound("there is no policy of this name"), forwardAuth.context.exchange, forwardAuth.context.loop)
        }
        forwardAuth.answer(forwardAuth.context.request.target(behind: end), under: policy, &scratch, &out)
    }

    /// The same of a listener where every path is the original one.
    func answerWhole(under name: [UInt8], _ scratch: inout RequestScratch, _ out: inout ByteBuffer) {
        guard let policy = forwardAuth.context.loop.policies.entry(name.octets) else {
            return out.appendRefusal(
                .unavailable("the policy of this listener is not configured"), forwardAuth.context.exchange,
                forwardAuth.context.loop)
        }
        forwardAuth.answer(forwardAuth.context.request.target(behind: 0), under: policy, &scratch, &out)
    }
}
