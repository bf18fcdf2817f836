import AdministrationAPI
import Foundation
import NIOCore

/// Makes more keys than one answer holds, and passes them on line by line as they come.
struct ManyKeys {
    /// The most that one call makes.
    static let countMax = 100_000_000

    let connection: ControlConnection
    let request: KeyCreateRequest

    /// Prints each key as soon as it is made, one JSON object a line, in no order.
    /// - Throws: ``CommandFailure`` with how many were made: those that were printed exist.
    func run() async throws {
        let count = request.count ?? 1
        var progress = ProgressBar("creating")
        defer { progress.finish() }
        var lines = WholeLines()
        do {
            try await connection.download(.POST, "/v1/keys/bulk", body: request) { piece, _ in
                try Console.write(lines.take(piece))
                progress.update(done: lines.count, of: count)
            }
            guard lines.count == count else { throw CommandFailure("The answer ended too early.") }
        } catch is OutputClosed {
            throw CommandFailure(
                "\(OutputClosed.sentence) Up to \(lines.count) of \(count) keys and some thousand more are made: "
                    + "list them by their owner and revoke what was not kept.")
        } catch let failure as CommandFailure where lines.count > 0 {
            throw CommandFailure(
                "\(failure.message) \(lines.count) of \(count) keys are made and printed; some thousand more may have been made, "
                    + "whose texts are lost: list them by their owner and revoke what was not printed.",
                status: failure.status)
        }
    }
}

/// Cuts pieces of a text at its line feeds: what is passed on ends with one, so that no half of a line ever shows.
struct WholeLines {
    /// Lines that were passed on.
    private(set) var count = 0
    private var rest = Data()

    mutating func take(_ piece: ByteBuffer) -> Data {
        let bytes = piece.readableBytesView
        guard let last = bytes.lastIndex(of: 0x0A) else {
            rest.append(contentsOf: bytes)
            return Data()
        }
        let lines = rest + bytes[...last]
        rest = Data(bytes[(last + 1)...])
        count += lines.count { $0 == 0x0A }
        return lines
    }
}
