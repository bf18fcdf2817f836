import CredentialModel
import CredentialStore
import HTTPWire
import Listening
import RecordCache
import Verification

// MARK: Admission
//
// Admits the callers of a route before anything is looked up for them.

extension RequestContext {
    /// Decides by the complete request. Parses the form into `scratch.form`: it may hold the credentials of the caller.
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
        else { return .refused(.malformed("a parameter is repeated")) }
        return CallerAuthentication(self, route, right).authenticate(&caller, &scratch)
    }

    /// Decides by the head, if that identifies the caller. Otherwise the body may have the credentials.
    func refusalByHead(at route: Route, _ caller: inout Caller, _ scratch: inout RequestScratch) -> Refusal? {
        let outcome: CallerOutcome
        if case .holders(let right) = route.callers {
            if let refusal = refusalByType(route) { return refusal }
            let count = request.count(.authorization)
            guard count <= 1 else { return Self.twoFields }
            if route.body == .form, count == 0 { return nil }
            _ = scratch.form.parse(RawSpan())
            outcome = CallerAuthentication(self, route, right).authenticate(&caller, &scratch)
        } else {
            outcome = admitUnknown(to: route, caller)
        }
        guard case .refused(let refusal) = outcome else { return nil }
        return refusal
    }

    private static var twoFields: Refusal { .malformed("more than one Authorization field") }

    /// For routes that need no right.
    private func admitUnknown(to route: Route, _ caller: borrowing Caller) -> CallerOutcome {
        if case .gateways = route.callers, !caller.mayVerify(loop, route.interface ?? .forwardAuth) {
            return .refused(.forbidden(JudgementText.callers))
        }
        return .allowed(.words([]))
    }

    /// Why the media type of the body is not accepted. A request without Content-Type is accepted (RFC 9110 §8.3 leaves
    /// that to the recipient; clients of Kubernetes send none).
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

/// Authenticates the caller of an endpoint that requires a right (RFC 7662 §2.1, RFC 6749 §2.3.1, RFC 8705 §2).
struct CallerAuthentication: ~Escapable {
    private let loop: LoopState
    private let interface: VerificationInterface
    private let right: CallerRight
    private let hasAuthorization: Bool
    private let authorization: RawSpan
    /// The body that was parsed into the form of the scratch.
    private let body: RawSpan

    @_lifetime(copy context)
    init(_ context: borrowing RequestContext, _ route: Route, _ right: CallerRight) {
        loop = context.loop
        interface = route.interface ?? .changes
        self.right = right
        hasAuthorization = context.request.count(.authorization) > 0
        authorization = context.request.value(.authorization)
        body = context.request.body
    }

    /// For a waiting request for changes, of which the value of its Authorization field is kept.
    @_lifetime(copy authorization)
    init(waiting loop: LoopState, hasAuthorization: Bool, _ authorization: RawSpan) {
        self.loop = loop
        (interface, right) = (.changes, .changes)
        self.hasAuthorization = hasAuthorization
        self.authorization = authorization
        body = RawSpan()
    }

    /// Authenticates by the Authorization field, by credentials in the form, by the client certificate, and last by the
    /// socket.
    func authenticate(_ caller: inout Caller, _ scratch: inout RequestScratch) -> CallerOutcome {
        let outcome = authenticateUncounted(&caller, &scratch)
        if case .refused(let refusal) = outcome { noteRefusal(refusal, caller, &scratch) }
        return outcome
    }

    @inline(never)
    private func noteRefusal(_ refusal: Refusal, _ caller: Caller, _ scratch: inout RequestScratch) {
        guard let reason = CallerRefusal(refusal) else { return }
        var refused = RefusedCaller.unknown
        if hasAuthorization {
            refused = refusedCaller(&scratch)
        } else if let clientID = scratch.form.text(.clientID) {
            refused = scratch.form.withBytes(of: clientID, in: body) { known($0) }
        } else {
            for name in caller.certificateNames {
                guard let client = loop.published.clients.client(certificateSAN: name) else { continue }
                refused = .client(client.clientID)
            }
        }
        loop.refusals.note(interface, reason, refused, from: caller.peer, at: loop.clock.seconds)
    }

    /// The identity in an Authorization field: an existing client id, or the public id of a key or token.
    private func refusedCaller(_ scratch: inout RequestScratch) -> RefusedCaller {
        switch AuthorizationField.parse(authorization) {
        case .basic(let range):
            guard scratch.basic.parse(authorization.slice(range)) else { return .unknown }
            defer { scratch.basic.wipe() }
            return scratch.basic.withCredentials { clientID, _ in known(clientID) }
        case .bearer(let range), .apiKey(let range):
            let credential = NativeCredential(authorization.slice(range), vendor: loop.services.store.vendor)
            return credential.map { .credential($0.id) } ?? .unknown
        case .unsupported, .malformed: return .unknown
        }
    }

    /// Only the id of an existing client: any other text may be a secret in the wrong place.
    private func known(_ clientID: RawSpan) -> RefusedCaller {
        guard clientID.byteCount <= 64, let id = String(validating: clientID.copied(), as: UTF8.self),
            loop.published.clients.client(id: id) != nil
        else { return .unknown }
        return .client(id)
    }

    private func authenticateUncounted(
        _ caller: inout Caller, _ scratch: inout RequestScratch
    ) -> CallerOutcome {
        do throws(StoreFailure) {
            if hasAuthorization { return try authenticateByField(&caller, &scratch) }
            let secret = scratch.form.text(.clientSecret)
            if let clientID = scratch.form.text(.clientID) {
                guard let secret else {
                    // RFC 8705 §2: a client with a certificate also sends its id. Without a certificate, an id proves
                    // nothing.
                    return scratch.form.withBytes(of: clientID, in: body) {
                        authenticateByConnection(caller, named: $0)
                    }
                }
                let record = try scratch.form.withBytes(of: clientID, in: body) { (clientID) throws(StoreFailure) in
                    try scratch.form.withBytes(of: secret, in: body) { (secret) throws(StoreFailure) in
                        try client(clientID, secret)
                    }
                }
                return record.map { allow(KnownCaller($0)) } ?? .refused(.invalidClient)
            }
            if secret != nil { return .refused(.malformed("client_secret needs client_id")) }
            return authenticateByConnection(caller, named: RawSpan())
        } catch {
            return .refused(.storeUnavailable)
        }
    }

    /// - Parameter clientID: the client id in the request; empty if there is none.
    private func authenticateByConnection(_ caller: Caller, named clientID: RawSpan) -> CallerOutcome {
        for name in caller.certificateNames {
            guard let client = loop.published.clients.client(certificateSAN: name) else { continue }
            guard clientID.isEmpty || clientID.elementsEqual(Array(client.clientID.utf8).octets) else {
                return .refused(.invalidClient)
            }
            guard client.metadata.rights.contains(where: { isRight($0) }) else {
                return .refused(.forbidden(right.refusal))
            }
            return .allowed(.words(Array(client.metadata.audience.joined(separator: " ").utf8)))
        }
        if !caller.certificateNames.isEmpty || !clientID.isEmpty { return .refused(.invalidClient) }
        return caller.listener.may(right) ? .allowed(.words(caller.listener.audience)) : .refused(.unauthenticated)
    }

    private func isRight(_ name: String) -> Bool {
        Array((ScopeSet.rightPrefix + name).utf8) == right.scope
    }

    private func authenticateByField(
        _ caller: inout Caller, _ scratch: inout RequestScratch
    ) throws(StoreFailure) -> CallerOutcome {
        switch AuthorizationField.parse(authorization) {
        case .basic(let range):
            return try authenticate(basic: authorization.slice(range), &caller, &scratch)
        case .bearer(let range):
            // Keys are accepted as well: many programs can only be configured to send this scheme (RFC 7662 §2.1 shows
            // it).
            return try authenticate(bearing: authorization.slice(range), mayBeToken: true, &caller, &scratch)
        case .apiKey(let range):
            return try authenticate(bearing: authorization.slice(range), mayBeToken: false, &caller, &scratch)
        case .unsupported:
            return .refused(.unauthenticated)
        case .malformed:
            return .refused(.malformed("the Authorization field is malformed"))
        }
    }

    private func authenticate(
        basic encoded: RawSpan, _ caller: inout Caller, _ scratch: inout RequestScratch
    ) throws(StoreFailure) -> CallerOutcome {
        let repeatedID = scratch.form.text(.clientID)
        let repeatedSecret = scratch.form.text(.clientSecret)
        if repeatedID == nil, repeatedSecret == nil, let known = caller.recall(authorization, loop) {
            return allow(known)
        }
        guard scratch.basic.parse(encoded) else { return .refused(.invalidClient) }
        defer { scratch.basic.wipe() }
        // RFC 6749 §2.3: one method only; many clients repeat their credentials in the body, which is accepted if they
        // are equal.
        let agrees = scratch.basic.withCredentials { clientID, secret in
            isSame(repeatedID, clientID, scratch.form) && isSame(repeatedSecret, secret, scratch.form)
        }
        guard agrees else {
            return .refused(.malformed("the credentials in the body differ from the Authorization field"))
        }
        var floor: SeenFloor?
        let found = try scratch.basic.withCredentials { (clientID, secret) throws(StoreFailure) -> CredentialRecord? in
            floor = self.floor(of: secret)
            return try client(clientID, secret)
        }
        guard let record = found else { return .refused(.invalidClient) }
        let known = KnownCaller(record)
        if let floor { caller.remember(authorization, record, known, floor: floor) }
        return allow(known)
    }

    /// Whether a parameter is absent or equals `bytes`. Both are from the same sender: timing reveals nothing.
    private func isSame(_ text: FormText?, _ bytes: RawSpan, _ form: borrowing IntrospectionForm) -> Bool {
        guard let text else { return true }
        return form.withBytes(of: text, in: body) { $0.elementsEqual(bytes) }
    }

    /// The record of a client secret, if it is valid and belongs to the client of that id.
    private func client(_ clientID: RawSpan, _ secret: RawSpan) throws(StoreFailure) -> CredentialRecord? {
        guard case .active(let record) = try loop.verifier.verify(secret, at: loop.clock.now),
            record.kind == .clientSecret
        else { return nil }
        let isSame = loop.interned.withText(.client, record.client) { text in
            text.elementsEqual(clientID)
        }
        return isSame ? record : nil
    }

    private func authenticate(
        bearing credential: RawSpan, mayBeToken: Bool, _ caller: inout Caller, _ scratch: inout RequestScratch
    ) throws(StoreFailure) -> CallerOutcome {
        // RFC 6749 §2.3: one method only.
        if scratch.form.text(.clientSecret) != nil {
            return .refused(.malformed("client_secret in addition to another credential"))
        }
        // The very token that is asked about does not authenticate the caller.
        if let token = scratch.form.text(.token), isSame(token, credential, scratch.form) {
            return .refused(.notAccepted)
        }
        if let known = caller.recall(authorization, loop) { return allow(known) }
        let floor = floor(of: credential)
        guard case .active(let record) = try loop.verifier.verify(credential, at: loop.clock.now),
            record.kind == .apiKey || mayBeToken && record.kind == .accessToken,
            Decision.allows(record, from: caller.peer, interned: loop.interned)
        else { return .refused(.notAccepted) }
        let known = KnownCaller(record, loop)
        if let floor { caller.remember(authorization, record, known, floor: floor) }
        return allow(known)
    }

    private func allow(_ known: KnownCaller) -> CallerOutcome {
        // The text of an interned number never changes, nor does what it grants.
        if right != .introspect || known.scopes != loop.introspectingScopes || known.scopes == 0 {
            let scope = right.scope
            guard Decision.grants(scopes: known.scopes, scope: scope.octets, interned: loop.interned) else {
                return allow(clientOf: known)
            }
            if right == .introspect { loop.introspectingScopes = known.scopes }
        }
        return .allowed(.interned(known.audiences))
    }

    /// Admits the own token of a client with the current rights of the client.
    private func allow(clientOf known: KnownCaller) -> CallerOutcome {
        guard known.ownClient != 0, let client = loop.published.clients.client(number: known.ownClient),
            client.revokedAt == nil, client.metadata.rights.contains(where: { isRight($0) })
        else { return .refused(.forbidden(right.refusal)) }
        return .allowed(.words(Array(client.metadata.audience.joined(separator: " ").utf8)))
    }

    /// The current floor of the set of a native credential; nil for others, which are not remembered.
    private func floor(of credential: RawSpan) -> SeenFloor? {
        let store = loop.services.store
        return NativeCredential(credential, vendor: store.vendor).map { store.published.cache.floor(of: $0.id) }
    }
}
