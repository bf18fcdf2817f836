import AdministrationAPI
import Foundation

/// Sends lines in batches and reports refused ones by line number and reason, never with the key.
///
/// The only record of progress is the store. When an import is run again from its beginning, it finds there what it imported
/// before.
struct ImportJob {
    /// A line with its number in the file, from 1. Malformed lines stay in the batch too, so that results are reported in order.
    private struct Pending {
        let number: Int
        let content: Content

        var line: KeyImportLine? { if case .line(let line) = content { line } else { nil } }
    }

    private enum Content {
        case line(KeyImportLine)
        /// The line cannot be read, with the reason.
        case malformed(String)
    }

    /// One result, as `--json` prints it.
    private struct Result: Encodable {
        let line: Int
        var id: String?
        /// True when the key was in the store before.
        var existing: Bool?
        /// Why it was refused. The file of refused lines has the same member.
        var reason: String?
    }

    /// Well below the 8 MiB that the server accepts.
    private static let batchBytesMax = 4 * 1_024 * 1_024

    private let connection: ControlConnection
    private let json: Bool
    private let byteCount: Int?
    private let interruption: Interruption
    private var batch: [Pending] = []
    /// The batch that the server is working on while the next one is read. Only one at a time, so that of two lines with one
    /// key the first counts.
    private var sent: (batch: [Pending], answer: Task<KeyImportResult, any Error>)?
    private var batchBytes = 0
    private var lastLineDone = 0
    private var progress = ProgressBar("importing")
    private var refused: RefusedLines
    private(set) var importedCount = 0
    private(set) var existingCount = 0
    var refusedCount: Int { refused.count }

    /// - Parameter byteCount: size of the input, if it is known.
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
            // The results of the batch that was sent are reported in any case.
            try await settle()
            guard error is Interruption.Interrupted else { throw error }
            throw CommandFailure(
                "Interrupted. Imported \(importedCount), already there \(existingCount), refused \(refusedCount); lines up to "
                    + "\(lastLineDone) are done. Run the same command again: it skips what is there.")
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

    /// Waits for the previous batch, then sends this one.
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

    /// Waits for the batch that was sent, and reports its results.
    private mutating func settle() async throws {
        guard let (batch, answer) = sent, let last = batch.last else { return }
        sent = nil
        do {
            try report(try await answer.value, on: batch)
        } catch let failure as CommandFailure {
            throw CommandFailure(
                "\(failure.message) Lines up to \(lastLineDone) are done. Run the same command again: it skips what is there.",
                status: failure.status)
        }
        lastLineDone = last.number
    }

    private mutating func report(_ result: KeyImportResult, on batch: [Pending]) throws {
        let refused = Dictionary(result.refused.map { ($0.line, $0.reason) }) { first, _ in first }
        let existing = Dictionary(result.existing.map { ($0.line, $0.id) }) { first, _ in first }
        var imported = result.imported.makeIterator()
        // The server numbers the lines that it was sent, without the malformed ones.
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
        // With --json, the refusal is on standard output already.
        if json, refused.isPrinted { refused.noteReported() } else { try refused.add(number, reason) }
    }
}

/// Reports refused lines of an import by number and reason, never with the key: on standard error, or in a file of JSON lines.
struct RefusedLines {
    private let file: FileHandle?
    private(set) var count = 0
    /// Whether refusals go to standard error.
    var isPrinted: Bool { file == nil }

    /// One refusal, as it is written to the file.
    private struct Line: Encodable {
        let line: Int
        let reason: String
    }

    /// - Parameter path: file to write, whose old content is lost; nil for standard error.
    /// - Throws: ``CommandFailure`` when it cannot be written or is the file that is imported.
    init(path: String?, input: FileHandle) throws {
        guard let path else {
            file = nil
            return
        }
        // Truncated below, once it is known not to be the input.
        // SAFETY: the path is NUL-terminated for the length of the call.
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0o644)
        guard descriptor >= 0 else { throw CommandFailure("The file '\(path)' cannot be written.") }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        guard let target = Self.identity(file), let source = Self.identity(input), target != source else {
            throw CommandFailure("'\(path)' is the file that is imported. Name another one for --refused.")
        }
        if target.isRegular { try file.truncate(atOffset: 0) }
        self.file = file
    }

    /// Counts a line that was reported elsewhere.
    mutating func noteReported() { count += 1 }

    mutating func add(_ number: Int, _ reason: String) throws {
        count += 1
        guard let file else { return Console.error("line \(number): \(SafeText.visible(reason))") }
        do {
            try file.write(contentsOf: StrictJSON.encode(Line(line: number, reason: reason)) + Data("\n".utf8))
        } catch {
            throw CommandFailure("Refused lines cannot be written to the file of --refused. Is the disk full?")
        }
    }

    private struct Identity: Equatable {
        let device: UInt64
        let node: UInt64
        let isRegular: Bool
    }

    private static func identity(_ file: FileHandle) -> Identity? {
        var info = stat()
        // SAFETY: `info` is a local out-parameter.
        guard unsafe fstat(file.fileDescriptor, &info) == 0 else { return nil }
        return Identity(
            device: UInt64(info.st_dev), node: UInt64(info.st_ino), isRegular: info.st_mode & S_IFMT == S_IFREG)
    }
}
