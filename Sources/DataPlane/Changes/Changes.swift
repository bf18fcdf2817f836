import CredentialModel
import CredentialStore
import ForwardAuth
import HTTPWire
import NIOCore
import Verification

// A cache of verification results has to learn which of them have become invalid. The journal has a number for each
// change, and this feed returns the changes after a number: ids, kinds and numbers, but no owners and no secrets.
//
// ```
// GET /v1/changes?after=12&wait=60
// {"incarnation":"1731…","changes":[{"number":13,"event":"revoked","kind":"api_key","id":"0Fz8kQ2mXbA"}],"next":13}
// ```
//
// Use by a cache: a request without `after` returns the end of the journal; from then on results may be cached. The
// cache repeatedly requests the changes after `next`, and removes what each change names: results with its id as `jti`,
// or with the `client_id` or `family` of a bulk revocation, or everything if the change has `flush`, because results
// lack the property by which it would have to match them. A result that was requested before a change was received is
// not cached. On 410, and if the incarnation changes, the cache removes everything and starts again.
//
// Issuance is left out unless requested: it invalidates nothing, and waking all waiting requests at each issuance would
// make issuing as expensive as all of them together.

/// `GET /v1/changes`, for callers with the right to follow changes.
struct Changes: ~Copyable, ~Escapable {
    private let context: RequestContext
    private var loop: LoopState { context.loop }

    @_lifetime(copy context)
    init(_ context: consuming RequestContext) { self.context = context }

    /// - Returns: the waiting request, if the response is not complete.
    func answer(_ scratch: inout RequestScratch, _ out: inout ByteBuffer) -> ChangesWait? {
        let framing = context.framing
        let parameters: ChangesRequest
        do throws(ChangesRequest.Fault) {
            parameters = try ChangesRequest(context.request, &scratch.judging.text)
        } catch {
            out.appendRefusal(.malformed(error.reason), framing, loop)
            return nil
        }
        let hasAuthorization = context.request.count(.authorization) > 0
        let wait = ChangesWait(
            parameters, framing, authorization: hasAuthorization ? context.request.value(.authorization).copied() : nil,
            next: parameters.after ?? loop.published.changes.newest)
        let result = ChangesResult.read(parameters, after: wait.next, loop)
        guard case .piece(let piece) = result, parameters.isStream || mayWait(parameters, piece) else {
            let answer = ChangesAnswer(framing: framing, loop: loop)
            out.appendAnswer(framing, loop) { answer.write(result, &$0) }
            return nil
        }
        guard loop.waiters.hasRoom else {
            out.appendRefusal(.unavailable("too many requests wait for changes"), framing, loop)
            return nil
        }
        if parameters.isStream {
            let stream = ChangesStream(loop: loop)
            _ = out.appendAnswer { stream.begin(next: wait.next, &$0) }
        } else {
            wait.pass(piece)
        }
        return wait
    }

    private func mayWait(_ parameters: ChangesRequest, _ piece: JournalPiece) -> Bool {
        piece.entries.isEmpty && parameters.waitSeconds > 0 && !loop.connections.endsWaits
    }
}

/// The result of reading the journal for a request.
enum ChangesResult {
    case piece(JournalPiece)
    /// The changes after the number are not known.
    case gone
    case refused(Refusal)

    static func read(_ parameters: ChangesRequest, after number: UInt64, _ loop: LoopState) -> ChangesResult {
        if let incarnation = parameters.incarnation, incarnation != loop.services.store.incarnation { return .gone }
        let limit = parameters.isStream ? min(parameters.limit, ChangesStream.entriesMax) : parameters.limit
        do throws(StoreFailure) {
            switch try loop.journalReader().read(after: number, issued: parameters.issued, limit: limit) {
            case .piece(let piece): return .piece(piece)
            case .gone: return .gone
            }
        } catch {
            return .refused(.storeUnavailable)
        }
    }
}

/// The parameters of a request to the change feed.
struct ChangesRequest {
    /// Return the changes after this number; nil for those from now on.
    private(set) var after: UInt64?
    /// The incarnation of the store to which the number belongs, if given.
    private(set) var incarnation: UInt64?
    private(set) var limit = entriesMax
    private(set) var waitSeconds: Int64 = 0
    /// Whether issuance is included. It invalidates nothing, and is far more frequent than other changes.
    private(set) var issued = false
    /// Whether the response is a stream of events.
    private(set) var isStream = false

    /// Maximum number of entries in one response.
    static let entriesMax = 1_000
    static let waitSecondsMax: Int64 = 60

    /// Why the parameters are invalid.
    struct Fault: Error {
        let reason: StaticString
    }

    init(_ request: ReceivedRequest, _ text: inout FormScratch) throws(Fault) {
        isStream = Self.wantsStream(request)
        try read(request.query, &text)
        guard isStream else { return }
        // A browser reconnects with its original URL: the last event that it has seen takes precedence over it.
        switch request.count(.lastEventID) {
        case 0: break
        case 1:
            guard let number = Self.decimal(request.value(.lastEventID)) else {
                throw Fault(reason: "Last-Event-ID must be the id of an event")
            }
            after = number
        default: throw Fault(reason: "more than one Last-Event-ID field")
        }
    }

    private mutating func read(_ query: RawSpan, _ text: inout FormScratch) throws(Fault) {
        after = try Self.number("after", in: query, &text, Fault(reason: "after must be a number, once"))
        incarnation = try Self.number(
            "incarnation", in: query, &text, Fault(reason: "incarnation must be a number, once"))
        let limitFault = Fault(reason: "limit must be 1 to 1000, once")
        if let number = try Self.number("limit", in: query, &text, limitFault) {
            guard (1...UInt64(Self.entriesMax)).contains(number) else { throw limitFault }
            limit = Int(number)
        }
        let waitFault = Fault(reason: "wait must be 0 to 60 seconds, once")
        if let number = try Self.number("wait", in: query, &text, waitFault) {
            guard number <= UInt64(Self.waitSecondsMax) else { throw waitFault }
            waitSeconds = Int64(number)
        }
        issued = try Self.flag("issued", in: query, &text, Fault(reason: "issued must be true or false, once"))
    }

    private static func wantsStream(_ request: ReceivedRequest) -> Bool {
        for index in 0..<request.fieldCount where request.field(at: index) == .accept {
            if AcceptField.names("text/event-stream", in: request.value(at: index)) { return true }
        }
        return false
    }

    private static func number(
        _ name: StaticString, in query: RawSpan, _ text: inout FormScratch, _ fault: Fault
    ) throws(Fault) -> UInt64? {
        switch QueryParameters.find(name, in: query, scratch: &text) {
        case .absent: return nil
        case .one(let value):
            guard let number = text.withBytes(of: value, in: query, { decimal($0) }) else { throw fault }
            return number
        case .several, .malformed: throw fault
        }
    }

    private static func flag(
        _ name: StaticString, in query: RawSpan, _ text: inout FormScratch, _ fault: Fault
    ) throws(Fault) -> Bool {
        switch QueryParameters.find(name, in: query, scratch: &text) {
        case .absent: return false
        case .one(let value):
            if text.withBytes(of: value, in: query, { $0.isEqual("true") }) { return true }
            guard text.withBytes(of: value, in: query, { $0.isEqual("false") }) else { throw fault }
            return false
        case .several, .malformed: throw fault
        }
    }

    /// Parses decimal digits; nil for anything else and for numbers that do not fit.
    private static func decimal(_ text: RawSpan) -> UInt64? {
        guard (1...20).contains(text.byteCount) else { return nil }
        var number: UInt64 = 0
        for offset in 0..<text.byteCount {
            let byte = text.byte(at: offset)
            guard (0x30...0x39).contains(byte) else { return nil }
            let (tens, isTooLarge) = number.multipliedReportingOverflow(by: 10)
            let (sum, overflows) = tens.addingReportingOverflow(UInt64(byte & 15))
            guard !isTooLarge, !overflows else { return nil }
            number = sum
        }
        return number
    }
}
