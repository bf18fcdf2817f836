import Foundation
import NIOCore

/// Reads a file line by line with bounded memory.
struct LineReader {
    /// A longer line is an error.
    static let lineBytesMax = 64 * 1_024

    private let file: FileHandle
    private var buffer = Data()
    private var isAtEnd = false
    /// Bytes of all lines so far, line feeds included.
    private(set) var bytesRead = 0

    init(_ file: FileHandle) {
        self.file = file
    }

    /// The next line without its line feed or carriage return and line feed; nil at the end.
    ///
    /// - Throws: ``CommandFailure`` when the file cannot be read or a line is longer than ``lineBytesMax``.
    mutating func next() throws -> [UInt8]? {
        var searched = 0
        while true {
            if let end = buffer.dropFirst(searched).firstIndex(of: 0x0A) { return take(upTo: end, skipping: 1) }
            searched = buffer.count
            if isAtEnd { return buffer.isEmpty ? nil : take(upTo: buffer.endIndex, skipping: 0) }
            guard buffer.count <= Self.lineBytesMax else {
                throw CommandFailure("A line is longer than \(Self.lineBytesMax) bytes. Is this a file of JSON lines?")
            }
            let chunk: Data?
            do {
                chunk = try file.read(upToCount: Self.lineBytesMax)
            } catch {
                throw CommandFailure("The input \(TextFile.reason(of: error))")
            }
            guard let chunk, !chunk.isEmpty else {
                isAtEnd = true
                continue
            }
            buffer.append(chunk)
        }
    }

    private mutating func take(upTo end: Data.Index, skipping: Int) -> [UInt8] {
        var line = Array(buffer[buffer.startIndex..<end])
        bytesRead += line.count + skipping
        buffer.removeSubrange(buffer.startIndex..<(end + skipping))
        if line.last == 0x0D { line.removeLast() }
        return line
    }
}

/// Joins the pieces of a download to whole lines, so that no half line is ever printed.
struct WholeLines {
    private var rest = Data()

    /// - Returns: everything up to the last line feed so far; empty while there is none.
    mutating func take(_ piece: ByteBuffer) -> Data {
        let bytes = piece.readableBytesView
        guard let last = bytes.lastIndex(of: 0x0A) else {
            rest.append(contentsOf: bytes)
            return Data()
        }
        let lines = rest + bytes[...last]
        rest = Data(bytes[(last + 1)...])
        return lines
    }
}
