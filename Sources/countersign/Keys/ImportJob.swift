import AdministrationAPI
import Foundation

/// Sends lines in batches and reports what was refused, by line number and reason, never with the key.
///
/// What is done so far is written down nowhere but in the store: run once more from its beginning, an import finds there
/// what it brought before.
struct ImportJob {
    /// A line with its number in the file from 1. One that cannot be read waits for its turn too, so that all is told in
    /// order.
    private struct Pending {
        let number: Int
        let content: Content

        var line: KeyImportLine? { if case .line(let line) = content { line } else { nil } }
    }

    private enum Content {
        case line(KeyImportLine)
        /// It cannot be read, and why.
        case malformed(String)
    }

    /// One result, as `--json` prints it.
    private struct Result: Encodable {
        let line: Int
        var id: String?
        /// True where the key was there before.
        var existing: Bool?
        /// Why it was refused; the file of what is refused has the same name for it.
        var reason: String?
    }

    /// Held well under the 8 MiB that the server takes.
    private static let batchBytesMax = 4 * 1_024 * 1_024

    private let connection: ControlConnection
    private let json: Bool
    private let byteCount: Int?
    private let interruption: Interruption
    private var batch: [Pending] = []
    /// The batch that is with the server while the next one is read. One at a time: of a key that stands twice in the file,
    /// the first line counts.
    private var sent: (batch: [Pending], answer: Task<KeyImportResult, any Error>)?
    private var batchBytes = 0
    private var lastSent = 0
    private var progress = ProgressBar("importing")
    private var refused: RefusedLines
    private(set) var importedCount = 0
    private(set) var existingCount = 0
    var refusedCount: Int { refused.count }

    /// - Parameter byteCount: of what is imported, if it is known.
    init(
        connection: ControlConnection, json: Bool, byteCount: Int?, refused: RefusedLines, interruption: Interruption
    ) {
        self.interruption = interruption
        self.connection = connection
        self.json = json
        self.byteCount = byteCount
        self.refused = refused
    }

    mutating func run(_ source: LineReader) async throws {
        defer { progress.finish() }
        do {
            try await read(source)
        } catch {
            // What is with the server is told of all the same.
            try await settle()
            guard error is Interruption.Interrupted else { throw error }
            throw CommandFailure(
                "Interrupted. Imported \(importedCount), already there \(existingCount), refused \(refusedCount); lines up to "
                    + "\(lastSent) are done. Run the same command again: what is there is passed over.")
        }
        try await send()
        try await settle()
    }

    private mutating func read(_ source: LineReader) async throws {
        var reader = source
        var number = 0
        while let bytes = try reader.next() {
            try interruption.check()
            number += 1
            guard bytes.contains(where: { $0 != 0x20 && $0 != 0x09 }) else { continue }
            do {
                let line = try StrictJSON.decode(KeyImportLine.self, from: bytes)
                batch.append(Pending(number: number, content: .line(line)))
                batchBytes += bytes.count
            } catch {
                batch.append(Pending(number: number, content: .malformed(error.message(of: "line"))))
            }
            if batch.count == KeyImportRequest.linesMax || batchBytes > Self.batchBytesMax {
                try await send()
                if let byteCount {
                    progress.update(done: reader.bytesRead, of: byteCount)
                } else {
                    progress.update(done: number, of: nil)
                }
            }
        }
    }

    /// Waits for the batch before, and hands this one over.
    private mutating func send() async throws {
        try await settle()
        guard !batch.isEmpty else { return }
        let (connection, lines) = (connection, batch.compactMap(\.line))
        let answer = Task<KeyImportResult, any Error> {
            guard !lines.isEmpty else { return KeyImportResult(imported: [], existing: [], refused: []) }
            return try await connection.send(.POST, "/v1/keys/import", body: KeyImportRequest(lines: lines))
        }
        sent = (batch, answer)
        batch = []
        batchBytes = 0
    }

    private mutating func settle() async throws {
        guard let (batch, answer) = sent, let last = batch.last else { return }
        sent = nil
        do {
            try report(try await answer.value, on: batch)
        } catch let failure as CommandFailure {
            throw CommandFailure(
                "\(failure.message) Lines up to \(lastSent) are done. Run the same command again: what is there is passed over.",
                status: failure.status)
        }
        lastSent = last.number
    }

    private mutating func report(_ result: KeyImportResult, on batch: [Pending]) throws {
        let refused = Dictionary(result.refused.map { ($0.line, $0.reason) }) { first, _ in first }
        let existing = Dictionary(result.existing.map { ($0.line, $0.id) }) { first, _ in first }
        var imported = result.imported.makeIterator()
        // The server counts the lines that it was given.
        var next = 0
        for pending in batch {
            if case .malformed(let reason) = pending.content {
                try refuse(pending.number, reason)
                continue
            }
            let index = next
            next += 1
            if let reason = refused[index] {
                try refuse(pending.number, reason)
            } else if let id = existing[index] {
                existingCount += 1
                if json { try Console.json(Result(line: pending.number, id: id, existing: true)) }
            } else if let id = imported.next() {
                importedCount += 1
                if json { try Console.json(Result(line: pending.number, id: id)) }
            }
        }
    }

    private mutating func refuse(_ number: Int, _ reason: String) throws {
        if json { try Console.json(Result(line: number, reason: reason)) }
        if refused.isPrinted { progress.finish() }
        // With --json, standard output has said it already.
        if json, refused.isPrinted { refused.note() } else { try refused.add(number, reason) }
    }
}
