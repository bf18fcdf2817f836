import CredentialModel
import HTTPWire

/// What of a request decides how every answer to it is framed.
struct Exchange {
    let minorVersion: UInt8
    let isHead: Bool
    /// Whether the connection stays open behind the answer.
    var keepAlive: Bool

    /// Whether answers are framed as ``UsualAnswers`` are.
    var isUsual: Bool { minorVersion == 1 && keepAlive && !isHead }

    /// Of an answer to what is no whole request: nothing is known of it, and the connection closes.
    static let last = Exchange(minorVersion: 1, isHead: false, keepAlive: false)

    var connection: ResponseHead.Connection {
        ResponseHead.Connection(keepAlive: keepAlive, minorVersion: minorVersion)
    }
}

extension ByteWriter {
    /// Writes status line, length, connection and date. The caller adds fields and ends the head.
    mutating func begin(_ status: UInt16, length: Int, _ exchange: Exchange, _ loop: LoopState) {
        append(ResponseHead(status: status, contentLength: length, connection: exchange.connection))
        let date = loop.clock.dateLine
        append(date.octets)
    }

    /// The same for a body whose length is known only when it is written.
    mutating func beginUnsized(_ status: UInt16, _ exchange: Exchange, _ loop: LoopState) -> LengthSlot {
        append(ResponseHead(status: status, contentLength: nil, connection: exchange.connection))
        let date = loop.clock.dateLine
        append(date.octets)
        return appendContentLength()
    }

    /// Begins an answer whose body is JSON, up to the body.
    mutating func beginJSON(_ status: UInt16, _ exchange: Exchange, _ loop: LoopState) -> LengthSlot {
        let slot = beginUnsized(status, exchange, loop)
        append("Content-Type: application/json\r\nCache-Control: no-store\r\n")
        endHead()
        return slot
    }

    /// Fills in the length of the body that begins at `start`, and takes the body back for a HEAD request.
    mutating func end(_ slot: LengthSlot, from start: Int, _ exchange: Exchange) {
        fill(slot, with: written - start)
        if exchange.isHead { rewind(to: start) }
    }

    /// A whole refusal as RFC 9457 describes problems. Nothing of the request is in it.
    mutating func problem(
        _ status: UInt16, _ detail: StaticString, _ exchange: Exchange, _ loop: LoopState,
        fields: (inout ByteWriter) -> Void
    ) {
        let slot = beginUnsized(status, exchange, loop)
        append("Content-Type: application/problem+json\r\nCache-Control: private, no-store\r\n")
        fields(&self)
        endHead()
        let start = written
        append(problemBody: status, detail)
        end(slot, from: start, exchange)
    }

    /// A whole answer with a fixed body.
    mutating func whole(
        _ status: UInt16, _ type: StaticString, _ body: StaticString, _ exchange: Exchange, _ loop: LoopState,
        fields: (inout ByteWriter) -> Void
    ) {
        begin(status, length: body.utf8CodeUnitCount, exchange, loop)
        append("Content-Type: ")
        append(type)
        append("\r\nCache-Control: no-store\r\n")
        fields(&self)
        endHead()
        if !exchange.isHead { append(body) }
    }
}
