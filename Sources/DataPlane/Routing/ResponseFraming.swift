import CredentialModel
import HTTPWire

/// The properties of a request that determine the framing of its response.
struct ResponseFraming {
    let minorVersion: UInt8
    let isHead: Bool
    /// Whether the connection stays open after the response.
    var keepAlive: Bool
    /// Whether the loop's ``Correlation`` is that of the request.
    var isCorrelated = false

    /// Whether ``PreparedAnswers`` can be used.
    var usesPrepared: Bool { minorVersion == 1 && keepAlive && !isHead && !isCorrelated }

    /// For the response to an incomplete or invalid request, after which the connection closes.
    static let last = ResponseFraming(minorVersion: 1, isHead: false, keepAlive: false)

    var connection: ResponseHead.Connection {
        ResponseHead.Connection(keepAlive: keepAlive, minorVersion: minorVersion)
    }
}

extension ByteWriter {
    /// Writes status line, length, connection and date. The caller adds fields and ends the head.
    mutating func begin(_ status: UInt16, length: Int, _ framing: ResponseFraming, _ loop: LoopState) {
        append(ResponseHead(status: status, contentLength: length, connection: framing.connection))
        appendCommonFields(framing, loop)
    }

    private mutating func appendCommonFields(_ framing: ResponseFraming, _ loop: LoopState) {
        let date = loop.clock.dateLine
        append(date.octets)
        guard framing.isCorrelated else { return }
        let lines = loop.correlation.lines
        append(lines.octets)
    }

    /// Writes the start of a response whose length is known only after its body is written: status line, connection,
    /// date, and a place for the length. The caller adds fields and ends the head.
    mutating func beginUnsized(_ status: UInt16, _ framing: ResponseFraming, _ loop: LoopState) -> LengthSlot {
        append(ResponseHead(status: status, contentLength: nil, connection: framing.connection))
        appendCommonFields(framing, loop)
        return appendContentLength()
    }

    /// Begins a response with a JSON body, up to the body.
    mutating func beginJSON(
        _ status: UInt16, _ framing: ResponseFraming, _ loop: LoopState, fields: (inout ByteWriter) -> Void = { _ in }
    ) -> LengthSlot {
        let slot = beginUnsized(status, framing, loop)
        append("Content-Type: application/json\r\nCache-Control: no-store\r\n")
        fields(&self)
        endHead()
        return slot
    }

    /// Fills in the length of the body that begins at `start`, and removes the body for a HEAD request.
    mutating func end(_ slot: LengthSlot, from start: Int, _ framing: ResponseFraming) {
        fill(slot, with: written - start)
        if framing.isHead { rewind(to: start) }
    }

    /// A complete problem response (RFC 9457). It contains nothing of the request but what relates it to other logs.
    mutating func problem(
        _ status: UInt16, _ detail: StaticString, _ framing: ResponseFraming, _ loop: LoopState,
        fields: (inout ByteWriter) -> Void
    ) {
        let slot = beginUnsized(status, framing, loop)
        append("Content-Type: application/problem+json\r\nCache-Control: private, no-store\r\n")
        fields(&self)
        endHead()
        let start = written
        append(problemBody: status, detail) { out in
            guard framing.isCorrelated else { return }
            let members = loop.correlation.members
            out.append(members.octets)
        }
        end(slot, from: start, framing)
    }

    /// A complete response with a constant body.
    mutating func whole(
        _ status: UInt16, _ type: StaticString, _ body: StaticString, _ framing: ResponseFraming, _ loop: LoopState,
        fields: (inout ByteWriter) -> Void
    ) {
        begin(status, length: body.utf8CodeUnitCount, framing, loop)
        append("Content-Type: ")
        append(type)
        append("\r\nCache-Control: no-store\r\n")
        fields(&self)
        endHead()
        if !framing.isHead { append(body) }
    }
}
