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
    static let whileShowingSecrets = CommandFailure(
        "Nobody reads standard output any more: what was made is lost. Revoke what was not shown.")
}

/// A command whose result is shown once and never again.
protocol ShowsSecrets {}
