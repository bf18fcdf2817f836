import CredentialModel
import CredentialStore
import HTTPWire
import Listening
import RecordCache
import Verification

/// Finds out who calls an endpoint that only known callers may use (RFC 7662 §2.1, RFC 6749 §2.3.1, RFC 8705 §2).
struct CallerAuthentication: ~Escapable {
    private let loop: LoopState
    private let interface: VerificationInterface
    private let right: CallerRight
    private let hasAuthorization: Bool
    private let authorization: RawSpan
    /// What was parsed last into the scratch's form.
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

    /// Of a request for changes that waits: what is left of it is the value of its field, if it had one.
    @_lifetime(copy authorization)
    init(waiting loop: LoopState, hasAuthorization: Bool, _ authorization: RawSpan) {
        self.loop = loop
        (interface, right) = (.changes, .changes)
        self.hasAuthorization = hasAuthorization
        self.authorization = authorization
        body = RawSpan()
    }

    /// Judges by the Authorization field, by credentials in the form, by the client certificate, and last by the socket.
    func judge(_ caller: inout Caller, _ scratch: inout RequestScratch) -> CallerOutcome {
        let outcome = decide(&caller, &scratch)
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

    /// Whom an Authorization field names: the client of that id, or the public id of a key or token.
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

    /// Only an id that some client has is told: anything else may be a secret in the wrong place.
    private func known(_ clientID: RawSpan) -> RefusedCaller {
        guard clientID.byteCount <= 64, let id = String(validating: clientID.copied(), as: UTF8.self),
            loop.published.clients.client(id: id) != nil
        else { return .unknown }
        return .client(id)
    }

    private func decide(_ caller: inout Caller, _ scratch: inout RequestScratch) -> CallerOutcome {
        do throws(StoreFailure) {
            if hasAuthorization { return try judgeField(&caller, &scratch) }
            let secret = scratch.form.text(.clientSecret)
            if let clientID = scratch.form.text(.clientID) {
                guard let secret else {
                    // RFC 8705 §2: a client with a certificate sends its id as well. Without one, an id proves nothing.
                    return scratch.form.withBytes(of: clientID, in: body) { judgeConnection(caller, named: $0) }
                }
                let record = try scratch.form.withBytes(of: clientID, in: body) { (clientID) throws(StoreFailure) in
                    try scratch.form.withBytes(of: secret, in: body) { (secret) throws(StoreFailure) in
                        try client(clientID, secret)
                    }
                }
                return record.map { allow(KnownCaller($0)) } ?? .refused(.invalidClient)
            }
            if secret != nil { return .refused(.malformed("client_secret needs client_id")) }
            return judgeConnection(caller, named: RawSpan())
        } catch {
            return .refused(.trouble)
        }
    }

    /// - Parameter clientID: whom the request names; empty when it names nobody.
    private func judgeConnection(_ caller: Caller, named clientID: RawSpan) -> CallerOutcome {
        for name in caller.certificateNames {
            guard let client = loop.published.clients.client(certificateSAN: name) else { continue }
            guard clientID.isEmpty || clientID.elementsEqual(Array(client.clientID.utf8).octets) else {
                return .refused(.invalidClient)
            }
            guard client.rights.contains(where: { isRight($0) }) else { return .refused(.forbidden(right.refusal)) }
            return .allowed(.words(Array(client.audience.joined(separator: " ").utf8)))
        }
        if !caller.certificateNames.isEmpty || !clientID.isEmpty { return .refused(.invalidClient) }
        return caller.policy.may(right) ? .allowed(.words(caller.policy.audience)) : .refused(.unauthenticated)
    }

    private func isRight(_ name: String) -> Bool {
        Array((ScopeSet.rightPrefix + name).utf8) == right.scope
    }

    private func judgeField(
        _ caller: inout Caller, _ scratch: inout RequestScratch
    ) throws(StoreFailure) -> CallerOutcome {
        switch AuthorizationField.parse(authorization) {
        case .basic(let range):
            return try judge(basic: authorization.slice(range), &caller, &scratch)
        case .bearer(let range):
            // A key as well: it is what most programs can be configured to send (RFC 7662 §2.1 shows this scheme).
            return try judge(bearing: authorization.slice(range), mayBeToken: true, &caller, &scratch)
        case .apiKey(let range):
            return try judge(bearing: authorization.slice(range), mayBeToken: false, &caller, &scratch)
        case .unsupported:
            return .refused(.unauthenticated)
        case .malformed:
            return .refused(.malformed("the Authorization field is malformed"))
        }
    }

    private func judge(
        basic encoded: RawSpan, _ caller: inout Caller, _ scratch: inout RequestScratch
    ) throws(StoreFailure) -> CallerOutcome {
        let repeatedID = scratch.form.text(.clientID)
        let repeatedSecret = scratch.form.text(.clientSecret)
        if repeatedID == nil, repeatedSecret == nil, let known = caller.recall(authorization, loop) {
            return allow(known)
        }
        guard scratch.basic.parse(encoded) else { return .refused(.invalidClient) }
        defer { scratch.basic.wipe() }
        // RFC 6749 §2.3: one method only; many clients repeat themselves in the body, which is fine if it agrees.
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

    /// Whether a parameter, if it was sent, is `bytes`. Both came from the same sender: nothing is given away.
    private func isSame(_ text: FormText?, _ bytes: RawSpan, _ form: borrowing IntrospectionForm) -> Bool {
        guard let text else { return true }
        return form.withBytes(of: text, in: body) { $0.elementsEqual(bytes) }
    }

    /// The record of a client secret that is alive and belongs to the client of that id.
    private func client(_ clientID: RawSpan, _ secret: RawSpan) throws(StoreFailure) -> CredentialRecord? {
        guard case .active(let record) = try loop.verifier.verify(secret, at: loop.clock.now),
            record.kind == .clientSecret
        else { return nil }
        let isSame = loop.interned.withText(.client, record.client) { text in
            text.elementsEqual(clientID)
        }
        return isSame ? record : nil
    }

    private func judge(
        bearing credential: RawSpan, mayBeToken: Bool, _ caller: inout Caller, _ scratch: inout RequestScratch
    ) throws(StoreFailure) -> CallerOutcome {
        // RFC 6749 §2.3: one method only.
        if scratch.form.text(.clientSecret) != nil {
            return .refused(.malformed("client_secret beside another credential"))
        }
        // Whoever presents the very token he asks about proves nothing about himself.
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
        // The text of a number never changes, nor what it grants.
        if right != .introspect || known.scopes != loop.introspectingScopes || known.scopes == 0 {
            let scope = right.scope
            guard Decision.grants(scopes: known.scopes, scope: scope.octets, interned: loop.interned) else {
                return allow(clientOf: known)
            }
            if right == .introspect { loop.introspectingScopes = known.scopes }
        }
        return .allowed(.interned(known.audiences))
    }

    /// Lets a client's own token do what the client may, by the client as it is now.
    private func allow(clientOf known: KnownCaller) -> CallerOutcome {
        guard known.ownClient != 0, let client = loop.published.clients.client(number: known.ownClient),
            client.revokedAt == nil, client.rights.contains(where: { isRight($0) })
        else { return .refused(.forbidden(right.refusal)) }
        return .allowed(.words(Array(client.audience.joined(separator: " ").utf8)))
    }

    /// The floor of a native credential's set as it is now; nil for others, which are not remembered.
    private func floor(of credential: RawSpan) -> SeenFloor? {
        let store = loop.services.store
        return NativeCredential(credential, vendor: store.vendor).map { store.published.cache.floor(of: $0.id) }
    }
}
