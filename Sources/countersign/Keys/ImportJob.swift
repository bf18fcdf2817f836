import AdministrationAPI
import Foundation

/// Sends lines in batches and reports what was refused, by line number and reason, never with the key.
///
/// What is done so far is written down nowhere but in the store: run once more from its beginning, an import finds there
/// what it brought before.
struct ImportJob {
    /// A line that was read well, with its number in the file from 1.
    private struct Pending {
        let number: Int
        let line: KeyImportLine
    }

    /// One result, as `--json` prints it.
    private struct Result: Encodable {
        let line: Int
        var id: String?
        /// True where the key was there before.
        var existing: Bool?
        var refused: String?
    }

    /// Held well under the 8 MiB that the server takes.
    private static let batchBytesMax = 4 * 1_024 * 1_024

    private let connection: ControlConnection
    private let json: Bool
    private let byteCount: Int?
    private var batch: [Pending] = []
    private var batchBytes = 0
    private var lastSent = 0
    private var progress = ProgressBar("importing")
    private var refused: RefusedLines
    private let isRefusalPrinted: Bool
    private(set) var importedCount = 0
    private(set) var existingCount = 0
    var refusedCount: Int { refused.count }

    /// - Parameter refusedPath: the file that takes what is refused; nil for the console.
    init(connection: ControlConnection, json: Bool, byteCount: Int?, refusedPath: String?, input: FileHandle) throws {
        self.connection = connection
        self.json = json
        self.byteCount = byteCount
        refused = try RefusedLines(path: refusedPath, input: input)
        isRefusalPrinted = refusedPath == nil
    }

    mutating func run(_ source: LineReader) async throws {
        var reader = source
        var number = 0
        defer { progress.finish() }
        while let bytes = try reader.next() {
            number += 1
            guard bytes.contains(where: { $0 != 0x20 && $0 != 0x09 }) else { continue }
            do {
                batch.append(Pending(number: number, line: try StrictJSON.decode(KeyImportLine.self, from: bytes)))
                batchBytes += bytes.count
            } catch {
                try refuse(number, error.message)
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
        try await send()
    }

    private mutating func send() async throws {
        guard let last = batch.last else { return }
        let result: KeyImportResult
        do {
            result = try await connection.send(
                .POST, "/v1/keys/import", body: KeyImportRequest(lines: batch.map(\.line)))
        } catch let failure as CommandFailure {
            throw CommandFailure(
                "\(failure.message) Lines up to \(lastSent) are done. Run the same command again: what is there is passed over.",
                status: failure.status)
        }
        try report(result)
        lastSent = last.number
        batch = []
        batchBytes = 0
    }

    private mutating func report(_ result: KeyImportResult) throws {
        let refused = Dictionary(result.refused.map { ($0.line, $0.reason) }) { first, _ in first }
        let existing = Dictionary(result.existing.map { ($0.line, $0.id) }) { first, _ in first }
        var imported = result.imported.makeIterator()
        for (index, pending) in batch.enumerated() {
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
        if json { try Console.json(Result(line: number, refused: reason)) }
        if isRefusalPrinted { progress.finish() }
        // With --json, standard output has said it already.
        if json, isRefusalPrinted { refused.note() } else { try refused.add(number, reason) }
    }
}
