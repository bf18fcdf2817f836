import CredentialModel
import HTTPWire

// The gate of the data plane: lets those callers through that a route is for, before anything is looked up for them.

extension RequestContext {
    /// Judges by the whole request. The form is read here, into `scratch.form`: it may hold the caller's credentials.
    @inline(__always)
    func admit(to route: Route, _ caller: inout Caller, _ scratch: inout RequestScratch) -> CallerOutcome {
        guard case .holders(let right) = route.callers else { return admitUnknown(to: route, caller) }
        if let refusal = refusalByType(route) { return .refused(refusal) }
        let isForm = route.body == .form
        if scratch.form.parse(isForm ? request.body : RawSpan()) != nil {
            return .refused(.malformed("the form is not well encoded"))
        }
        guard request.count(.authorization) <= 1 else { return .refused(Self.twoFields) }
        guard scratch.form.count(.clientID) <= 1, scratch.form.count(.clientSecret) <= 1,
            scratch.form.count(.clientIP) <= 1
        else { return .refused(.malformed("a parameter is there twice")) }
        return CallerAuthentication(self, route, right).judge(&caller, &scratch)
    }

    /// Judges by the head alone, if that says who the caller is. Where it does not, credentials may come in the body.
    func refusalByHead(at route: Route, _ caller: inout Caller, _ scratch: inout RequestScratch) -> Refusal? {
        let outcome: CallerOutcome
        if case .holders(let right) = route.callers {
            if let refusal = refusalByType(route) { return refusal }
            let count = request.count(.authorization)
            guard count <= 1 else { return Self.twoFields }
            if route.body == .form, count == 0 { return nil }
            _ = scratch.form.parse(RawSpan())
            outcome = CallerAuthentication(self, route, right).judge(&caller, &scratch)
        } else {
            outcome = admitUnknown(to: route, caller)
        }
        guard case .refused(let refusal) = outcome else { return nil }
        return refusal
    }

    private static var twoFields: Refusal { .malformed("more than one Authorization field") }

    /// Of callers that need no right of their own.
    private func admitUnknown(to route: Route, _ caller: borrowing Caller) -> CallerOutcome {
        if case .gateways = route.callers, !caller.mayVerify(loop, route.interface ?? .forwardAuth) {
            return .refused(.forbidden(JudgementText.callers))
        }
        return .allowed(.words([]))
    }

    /// Whether the body is of the route's media type, as far as its sender says: without a Content-Type it is what is
    /// expected here (RFC 9110 §8.3 leaves that to the recipient; clients of Kubernetes send none).
    @inline(__always)
    private func refusalByType(_ route: Route) -> Refusal? {
        guard let expected = route.body else { return nil }
        let count = request.count(.contentType)
        if count == 0 { return nil }
        if count == 1, MediaType.parse(request.value(.contentType)) == expected { return nil }
        return .wrongType(
            expected == .form
                ? "the body must be application/x-www-form-urlencoded" : "the body must be application/json")
    }
}
