import Foundation

/// Reads a file line by line with bounded memory.
struct LineReader {
    /// A line longer than this is an error and not a line.
    static let lineBytesMax = 64 * 1_024

    private let file: FileHandle
    private var buffer = Data()
    private var isAtEnd = false
    /// How many bytes the lines so far took.
    private(set) var bytesRead = 0

    init(_ file: FileHandle) {
        self.file = file
    }

    /// The next line without its line feed, nil at the end.
    ///
    /// - Throws: ``CommandFailure`` when the file cannot be read or a line does not end.
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
