import AdministrationAPI
import Foundation

/// Standard output for results, standard error for everything else.
enum Console {
    static func line(_ text: String) {
        print(text)
    }

    /// One JSON object on one line.
    static func json(_ value: some Encodable) throws {
        print(String(decoding: try StrictJSON.encode(value), as: UTF8.self))
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
