import AdministrationAPI
import Foundation

/// Standard output for results, standard error for everything else.
enum Console {
    /// - Throws: ``CommandFailure`` when it cannot be written: a secret that was not shown must not look like success.
    static func line(_ text: String) throws {
        try write(Data((text + "\n").utf8))
    }

    /// One JSON object on one line.
    static func json(_ value: some Encodable) throws {
        try write(try StrictJSON.encode(value) + Data("\n".utf8))
    }

    /// - Throws: ``OutputClosed`` when the reader has closed the pipe; ``CommandFailure`` for every other failure.
    static func write(_ bytes: Data) throws {
        do {
            try FileHandle.standardOutput.write(contentsOf: bytes)
        } catch {
            let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError ?? error as NSError
            if underlying.domain == NSPOSIXErrorDomain, underlying.code == EPIPE { throw OutputClosed() }
            throw CommandFailure("The result cannot be written to standard output.")
        }
    }

    static func error(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data((text + "\n").utf8))
    }

    /// Replaces the current line on standard error, and leaves the cursor on it.
    static func overwriteError(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data(("\r" + text + "\u{1B}[K").utf8))
    }

    static var errorIsTerminal: Bool { isatty(2) == 1 }
    static var outputIsTerminal: Bool { isatty(1) == 1 }
    static var inputIsTerminal: Bool { isatty(0) == 1 }
}

/// The reader of standard output has closed it, as `head` does after ten lines. For a command that lists something this is
/// no failure.
struct OutputClosed: Error {
    static let sentence = "Nobody reads standard output any more."
}

/// What to say when a secret that was just issued could not be printed.
struct UnprintedSecret {
    /// A sentence that says what was issued and lost, by its kind and its public id.
    let loss: String
    /// A sentence with the command that revokes it.
    let remedy: String
}

extension Console {
    /// Prints a new secret. It exists in this process only and cannot be shown again.
    ///
    /// Every command that issues a secret prints it through here. Where printing fails, an active credential exists that nobody
    /// has and nobody would look for. So the error names its id and the command that revokes it.
    /// - Throws: ``CommandFailure`` when `print` cannot write.
    static func showOnce(ifLost unprinted: UnprintedSecret, _ print: () throws -> Void) throws {
        let failure: CommandFailure
        do {
            return try print()
        } catch is OutputClosed {
            failure = CommandFailure(OutputClosed.sentence)
        } catch let thrown as CommandFailure {
            failure = thrown
        }
        throw CommandFailure("\(failure.message) \(unprinted.loss) \(unprinted.remedy)", status: failure.status)
    }
}

/// A progress bar on standard error for what takes longer than a second. It is shown on terminals only.
struct ProgressBar {
    private let label: String
    private let isShown: Bool
    private let start: ContinuousClock.Instant
    private var lastDrawn: ContinuousClock.Instant?

    init(_ label: String, isShown: Bool = Console.errorIsTerminal, now: ContinuousClock.Instant = .now) {
        self.label = label
        self.isShown = isShown
        start = now
    }

    /// Draws at most ten times a second.
    mutating func update(done: Int, of total: Int?, now: ContinuousClock.Instant = .now) {
        guard isDue(now) else { return }
        lastDrawn = now
        Console.overwriteError(Self.text(label, done: done, of: total))
    }

    /// Whether a bar would be drawn now.
    func isDue(_ now: ContinuousClock.Instant) -> Bool {
        guard isShown, now - start >= .seconds(1) else { return false }
        return lastDrawn.map { now - $0 >= .milliseconds(100) } ?? true
    }

    /// Erases the bar.
    func finish() {
        if lastDrawn != nil { Console.overwriteError("") }
    }

    static func text(_ label: String, done: Int, of total: Int?) -> String {
        guard let total, total > 0 else { return "\(label)  \(done)" }
        let percent = Int(min(100, max(0, Double(done) / Double(total) * 100)))
        let filled = percent * 30 / 100
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
        return "\(label)  [\(bar)]  \(percent) %"
    }
}
