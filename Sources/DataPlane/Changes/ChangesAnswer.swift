import CredentialModel
import CredentialStore
import HTTPWire
import RecordCache
import Verification

/// Writes the complete response to a request for changes.
struct ChangesAnswer {
    let framing: ResponseFraming
    let loop: LoopState

    func write(_ result: ChangesResult, _ out: inout ByteWriter) {
        switch result {
        case .piece(let piece): write(piece, &out)
        case .gone: refuseGone(&out)
        case .refused(let refusal): out.refuse(refusal, framing, loop)
        }
    }

    private func write(_ piece: JournalPiece, _ out: inout ByteWriter) {
        let slot = out.beginJSON(200, framing, loop)
        let start = out.written
        out.append("{")
        writeIncarnation(&out)
        out.append(",\"changes\":[")
        let members = ChangeMembers(loop: loop)
        for (index, entry) in piece.entries.enumerated() {
            if index > 0 { out.append(byte: UInt8(ascii: ",")) }
            members.write(entry, &out)
        }
        out.append("],\"next\":")
        out.append(decimal: piece.next)
        // Only without more has a follower heard of everything: a read ends early where most rows are left out, too.
        out.append(piece.hasMore ? ",\"more\":true}" : ",\"more\":false}")
        out.end(slot, from: start, framing)
    }

    func writeIncarnation(_ out: inout ByteWriter) {
        // A string: programs that read numbers as floating point could confuse two incarnations.
        out.append("\"incarnation\":\"")
        out.append(decimal: loop.services.store.incarnation)
        out.append("\"")
    }

    /// The changes after the number were removed from the journal, or the number is of another incarnation. For a
    /// caller it is the same: remove everything, and start at `next`.
    private func refuseGone(_ out: inout ByteWriter) {
        let slot = out.beginUnsized(410, framing, loop)
        out.append("Content-Type: application/problem+json\r\nCache-Control: private, no-store\r\n")
        out.endHead()
        let start = out.written
        out.append(problemBody: 410, "the changes after this number are no longer known: discard all cached results") {
            $0.append(",")
            writeIncarnation(&$0)
            $0.append(",\"next\":")
            $0.append(decimal: loop.published.changes.newest)
        }
        out.end(slot, from: start, framing)
    }
}

/// One change as a JSON object.
struct ChangeMembers {
    let loop: LoopState

    func write(_ entry: JournalEntry, _ out: inout ByteWriter) {
        out.append("{\"number\":")
        out.append(decimal: entry.number)
        out.append(",\"event\":\"")
        out.append(Array(entry.event.name.utf8).octets)
        out.append("\"")
        writeTarget(entry.target, &out)
        if let limit = entry.issuedBefore {
            out.append(",\"issued_before\":")
            out.append(decimal: UInt64(clamping: limit.rawValue))
        }
        out.append("}")
    }

    /// By what a cache can match its results, or that it cannot.
    private func writeTarget(_ target: ChangeTarget, _ out: inout ByteWriter) {
        switch target {
        case .credential(let id, let kind):
            if let kind {
                out.append(",\"kind\":\"")
                out.append(Array(kind.name.utf8).octets)
                out.append("\"")
            }
            write(",\"id\":\"", id.rawValue, &out)
        case .client(let number): loop.interned.withText(.client, number) { writeClient($0, &out) }
        case .clientID(let text): writeClient(text.octets, &out)
        case .family(let number): write(",\"family\":\"", number, &out)
        case .everything: out.append(",\"flush\":true")
        case .nothing: break
        }
    }

    private func writeClient(_ clientID: RawSpan, _ out: inout ByteWriter) {
        out.append(",\"client_id\":\"")
        out.append(jsonEscaped: clientID)
        out.append("\"")
    }

    private func write(_ name: StaticString, _ number: UInt64, _ out: inout ByteWriter) {
        out.append(name)
        out.append(base62: number)
        out.append("\"")
    }
}

/// Writes changes as server-sent events (WHATWG HTML §9.2), one for each change, with its number as the id.
///
/// ```
/// retry: 1000
/// id: 12
/// event: begin
/// data: {"incarnation":"1731…","next":12}
///
/// id: 13
/// data: {"number":13,"event":"revoked","kind":"api_key","id":"0Fz8kQ2mXbA"}
/// ```
///
/// It has no length and ends with the connection. A truncated event lacks the empty line at its end and is ignored by
/// clients.
struct ChangesStream {
    let loop: LoopState

    /// Maximum number of events that are written at once.
    static let entriesMax = 256
    /// Seconds between heartbeats, so that intermediaries do not close the connection as idle.
    static let heartbeatSeconds: Int64 = 15

    func begin(next: UInt64, _ out: inout ByteWriter) {
        out.append(ResponseHead(status: 200, contentLength: nil, connection: .close))
        let date = loop.clock.dateLine
        out.append(date.octets)
        out.append("Content-Type: text/event-stream\r\nCache-Control: no-store\r\n")
        out.endHead()
        out.append("retry: 1000\nid: ")
        out.append(decimal: next)
        out.append("\nevent: begin\ndata: {")
        ChangesAnswer(framing: .last, loop: loop).writeIncarnation(&out)
        out.append(",\"next\":")
        out.append(decimal: next)
        out.append("}\n\n")
    }

    func write(_ piece: JournalPiece, _ out: inout ByteWriter) {
        let members = ChangeMembers(loop: loop)
        for entry in piece.entries {
            out.append("id: ")
            out.append(decimal: entry.number)
            out.append("\ndata: ")
            members.write(entry, &out)
            out.append("\n\n")
        }
    }

    func writeHeartbeat(_ out: inout ByteWriter) {
        out.append(":\n\n")
    }
}
