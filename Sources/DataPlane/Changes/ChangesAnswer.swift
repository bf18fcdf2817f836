import CredentialModel
import CredentialStore
import HTTPWire
import RecordCache
import Verification

/// The whole answer to a request for changes.
struct ChangesAnswer {
    let exchange: Exchange
    let loop: LoopState

    func write(_ look: ChangesLook, _ out: inout ByteWriter) {
        switch look {
        case .piece(let piece): write(piece, &out)
        case .gone: refuseGone(&out)
        case .refused(let refusal): out.refuse(refusal, exchange, loop)
        }
    }

    private func write(_ piece: JournalPiece, _ out: inout ByteWriter) {
        let slot = out.beginJSON(200, exchange, loop)
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
        out.append("}")
        out.end(slot, from: start, exchange)
    }

    func writeIncarnation(_ out: inout ByteWriter) {
        // As text: a program that reads numbers as floating point would take two incarnations for one.
        out.append("\"incarnation\":\"")
        out.append(decimal: loop.services.store.incarnation)
        out.append("\"")
    }

    /// What lies behind the number was forgotten, or it was never given in this life of the store. For a caller that is the
    /// same: drop everything, and begin at `next`.
    private func refuseGone(_ out: inout ByteWriter) {
        let slot = out.beginUnsized(410, exchange, loop)
        out.append("Content-Type: application/problem+json\r\nCache-Control: private, no-store\r\n")
        out.endHead()
        let start = out.written
        out.append("{\"type\":\"about:blank\",\"title\":\"Gone\",\"status\":410,")
        out.append("\"detail\":\"what lies behind this number is not known here any more: drop everything\",")
        writeIncarnation(&out)
        out.append(",\"next\":")
        out.append(decimal: loop.published.changes.newest)
        out.append("}")
        out.end(slot, from: start, exchange)
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

    /// What a holder of answers can find them by, or that it cannot.
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
