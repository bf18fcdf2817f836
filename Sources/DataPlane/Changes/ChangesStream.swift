import CredentialModel
import CredentialStore
import HTTPWire

/// Changes as server-sent events (WHATWG HTML §9.2), one an event, whose id is its number.
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
/// It has no length and ends with its connection. An event that was cut off has no empty line behind it and does not count.
struct ChangesStream {
    let loop: LoopState

    /// Events that are sent at once.
    static let entriesMax = 256
    /// Seconds between signs of life, so that nobody in between takes the connection for a dead one.
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
        ChangesAnswer(exchange: .last, loop: loop).writeIncarnation(&out)
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
