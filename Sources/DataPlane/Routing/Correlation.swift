import CredentialModel
import HTTPWire

/// What relates the request that is answered now to the logs of others (``HTTPWire/TraceFields``): given back with the response, and
/// part of the access log and of problems. Only the loop's thread uses it.
final class Correlation {
    /// Fields of the response, each with its line end.
    private(set) var lines: [UInt8] = []
    /// Members of a JSON object, each with a comma in front.
    private(set) var members: [UInt8] = []
    // Arrays, since a text would be allocated each time.
    private static let idField = Array("X-Request-Id: ".utf8)
    private static let idMember = Array(",\"request_id\":\"".utf8)
    private static let parentField = Array("Traceparent: ".utf8)
    private static let traceMember = Array(",\"trace_id\":\"".utf8)
    private static let parentMember = Array(",\"parent_id\":\"".utf8)
    private static let fieldEnd = Array("\r\n".utf8)
    private static let memberEnd = Array("\"".utf8)

    init() {
        lines.reserveCapacity(256)
        members.reserveCapacity(256)
    }

    /// - Returns: whether there is anything that is well-formed.
    @inline(never)
    func read(_ request: borrowing ReceivedRequest) -> Bool {
        lines.removeAll(keepingCapacity: true)
        members.removeAll(keepingCapacity: true)
        let id = request.value(.xRequestID)
        // Nor a credential that somebody has put into this field.
        if request.count(.xRequestID) == 1, TraceFields.isRequestID(id), !CredentialFormat.isWithin(id) {
            Self.add(Self.idField, id, Self.fieldEnd, to: &lines)
            Self.add(Self.idMember, id, Self.memberEnd, to: &members)
        }
        let parent = request.value(.traceparent)
        if request.count(.traceparent) == 1, TraceFields.isTraceparent(parent) {
            Self.add(Self.parentField, parent, Self.fieldEnd, to: &lines)
            Self.add(Self.traceMember, parent.slice(TraceFields.traceID), Self.memberEnd, to: &members)
            Self.add(Self.parentMember, parent.slice(TraceFields.parentID), Self.memberEnd, to: &members)
        }
        return !lines.isEmpty
    }

    private static func add(_ start: [UInt8], _ value: RawSpan, _ end: [UInt8], to bytes: inout [UInt8]) {
        bytes += start
        for offset in 0..<value.byteCount { bytes.append(value.byte(at: offset)) }
        bytes += end
    }
}
