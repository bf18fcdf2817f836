import CredentialModel
import HTTPWire

/// What a request to the change feed asks for.
struct ChangesRequest {
    /// Tell what lies behind this number; nil begins with what comes from now on.
    private(set) var after: UInt64?
    /// The life of the store that the number is of, if the caller said.
    private(set) var incarnation: UInt64?
    private(set) var limit = entriesMax
    private(set) var waitSeconds: Int64 = 0
    /// Whether births are told as well. They take nothing from anybody, and there are far more of them.
    private(set) var issued = false
    /// Whether it is to be a stream of events.
    private(set) var isStream = false

    /// Entries in one answer.
    static let entriesMax = 1_000
    static let waitSecondsMax: Int64 = 60

    /// Why a request cannot be followed.
    struct Fault: Error {
        let reason: StaticString
    }

    init(_ request: ReceivedRequest, _ text: inout FormScratch) throws(Fault) {
        isStream = Self.wantsStream(request)
        try read(request.query, &text)
        guard isStream else { return }
        // A browser connects anew with the address that it began with: what it has seen meanwhile counts, and not that.
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

    /// Decimal digits and nothing else; nil for what is no number or does not fit.
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
