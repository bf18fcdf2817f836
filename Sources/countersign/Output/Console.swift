import AdministrationAPI
import Foundation

/// Standard output for results, standard error for everything else.
enum Console {
    /// - Throws: ``CommandFailure`` when it cannot be written: a secret shown nowhere must not look like success.
    static func line(_ text: String) throws {
        try write(Data((text + "\n").utf8))
    }

    /// One JSON object on one line.
    static func json(_ value: some Encodable) throws {
        try write(try StrictJSON.encode(value) + Data("\n".utf8))
    }

    /// - Throws: as ``line(_:)``; ``OutputClosed`` when nobody reads any more.
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

    /// Without a line feed: what comes next overwrites it.
    static func overwriteError(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data(("\r" + text + "\u{1B}[K").utf8))
    }

    static var errorIsTerminal: Bool { isatty(2) == 1 }
    static var outputIsTerminal: Bool { isatty(1) == 1 }
    static var inputIsTerminal: Bool { isatty(0) == 1 }
}

/// Whoever read standard output has had enough, as `head` has after ten lines: no failure of a command that lists something.
struct OutputClosed: Error {
    static let sentence = "Nobody reads standard output any more."
}

/// What a command has just made. Its secret is in this process only, and can be shown this once.
struct Newborn {
    /// A sentence that says what is made and lost, by its kind and its public id.
    let loss: String
    /// The command that ends it, in a sentence.
    let remedy: String
}

extension Console {
    /// Shows what was made, whose secret nobody can ever show again.
    ///
    /// Every verb that makes a secret prints it through here. Where printing fails, a credential is alive that nobody has,
    /// and nobody would look for it: so its id and the command that ends it are said where they can still be read.
    /// - Throws: ``CommandFailure`` when `print` cannot write.
    static func showOnce(_ made: Newborn, _ print: () throws -> Void) throws {
        let failure: CommandFailure
        do {
            return try print()
        } catch is OutputClosed {
            failure = CommandFailure(OutputClosed.sentence)
        } catch let thrown as CommandFailure {
            failure = thrown
        }
        throw CommandFailure("\(failure.message) \(made.loss) \(made.remedy)", status: failure.status)
    }
}
