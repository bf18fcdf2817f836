import Foundation

/// The credential on standard input.
enum PresentedCredential {
    /// More than any credential has.
    static let bytesMax = 8 * 1_024

    static func read() throws -> String {
        if Console.inputIsTerminal { Console.error("Paste the credential and press Return:") }
        var reader = LineReader(FileHandle.standardInput)
        let first = try reader.next()
        // At a terminal one line is all; in a file a second line means that something else is in it.
        let second = Console.inputIsTerminal ? nil : try reader.next()
        return try parse(first: first, hasMore: second != nil)
    }

    static func parse(first: [UInt8]?, hasMore: Bool) throws -> String {
        guard let first, !first.isEmpty else {
            throw CommandFailure("Standard input holds no credential.", status: .usage)
        }
        guard !hasMore else {
            throw CommandFailure("Standard input holds more than one line. Give one credential.", status: .usage)
        }
        guard first.count <= bytesMax else {
            throw CommandFailure("The line is longer than a credential can be.", status: .usage)
        }
        guard let text = String(validating: first, as: UTF8.self) else {
            throw CommandFailure("Standard input is not well-formed UTF-8. A credential is ASCII text.", status: .usage)
        }
        return text
    }
}
