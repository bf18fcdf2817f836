import Foundation

/// Results go to standard output, all else to standard error.
enum Console {
    static func result(_ text: String) {
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }

    static func note(_ text: String) {
        FileHandle.standardError.write(Data("load: \(text)\n".utf8))
    }

    static var isWatched: Bool { isatty(STDERR_FILENO) == 1 }
}
