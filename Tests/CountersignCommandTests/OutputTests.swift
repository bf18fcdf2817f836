@testable import countersign
import AdministrationAPI
import Foundation
import Testing

@Suite struct OutputTests {
    @Test func `columns are aligned and no line ends in spaces`() {
        var table = Table(["ID", "OWNER", "NAME"])
        table.add(["1", "acme", nil])
        table.add(["22", "a", "long name"])
        #expect(
            table.render() == """
                ID  OWNER  NAME
                1   acme   -
                22  a      long name
                """)
        #expect(table.render(withHeader: false).split(separator: "\n").count == 2)
    }

    @Test func `fields without a value are left out`() {
        var list = FieldList()
        list.add("id", "x")
        list.add("name", nil)
        list.add("scope", "")
        list.add("expires", "never")
        #expect(list.render() == "id       x\nexpires  never")
    }

    @Test func `text from elsewhere cannot control the terminal`() {
        #expect(SafeText.visible("a\u{1B}[2Jb\nc\u{202E}d\u{9B}") == #"a\u{1b}[2Jb\u{a}c\u{202e}d\u{9b}"#)
        #expect(SafeText.visible("Zoë 日本 👍") == "Zoë 日本 👍")
        var table = Table(["NAME"])
        table.add(["x\u{7}"])
        #expect(table.render() == "NAME\nx\\u{7}")
    }

    @Test func `a credential in an error is redacted, also when it is cut short`() {
        let text = "Unexpected argument 'iik1_0Fz8kQ2mXbA_0123456789012345678901234567890123456789012345678'"
        #expect(SafeText.withoutCredentials(text) == "Unexpected argument '<redacted>'")
        #expect(SafeText.withoutCredentials("iib1_0Fz8kQ2mXbA_01") == "<redacted>")
    }

    @Test func `a bar appears after a second and no more than ten times a second`() {
        let start = ContinuousClock.now
        let bar = ProgressBar("importing", isShown: true, now: start)
        #expect(!bar.isDue(start + .milliseconds(999)))
        #expect(bar.isDue(start + .seconds(1)))
        #expect(!ProgressBar("importing", isShown: false, now: start).isDue(start + .seconds(9)))
    }

    @Test func `a bar shows how much is done`() {
        #expect(ProgressBar.text("x", done: 50, of: 100) == "x  [###############...............]  50 %")
        #expect(ProgressBar.text("x", done: 7, of: nil) == "x  7")
        for done in [200, .max] { #expect(ProgressBar.text("x", done: done, of: 1).hasSuffix("100 %")) }
        #expect(ProgressBar.text("x", done: 1, of: 0) == "x  1")
    }

    @Test(arguments: [1, 3, 7, 65_536]) func `lines are found whatever the pieces are`(piece: Int) throws {
        let pipe = Pipe()
        let text = "one\r\ntwo\n\nlong \(String(repeating: "x", count: 500))\nlast"
        try pipe.fileHandleForWriting.write(contentsOf: Data(text.utf8.prefix(piece)))
        try pipe.fileHandleForWriting.write(contentsOf: Data(text.utf8.dropFirst(piece)))
        try pipe.fileHandleForWriting.close()
        var reader = LineReader(pipe.fileHandleForReading)
        var lines: [String] = []
        while let line = try reader.next() { lines.append(String(decoding: line, as: UTF8.self)) }
        #expect(lines == ["one", "two", "", "long \(String(repeating: "x", count: 500))", "last"])
        #expect(reader.bytesRead == text.utf8.count)
    }

    @Test func `a line without an end is refused`() throws {
        let pipe = Pipe()
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(repeating: 0x61, count: 1_000_000).write(to: file)
        var reader = LineReader(try FileHandle(forReadingFrom: file))
        #expect(throws: CommandFailure.self) { try reader.next() }
        try pipe.fileHandleForWriting.close()
    }

    @Test func `standard input holds one credential`() throws {
        #expect(try PresentedCredential.parse(first: Array("abc".utf8), hasMore: false) == "abc")
        #expect(throws: CommandFailure.self) { try PresentedCredential.parse(first: nil, hasMore: false) }
        #expect(throws: CommandFailure.self) { try PresentedCredential.parse(first: [], hasMore: false) }
        #expect(throws: CommandFailure.self) { try PresentedCredential.parse(first: [0x61], hasMore: true) }
        let long = [UInt8](repeating: 0x61, count: 8_193)
        #expect(throws: CommandFailure.self) { try PresentedCredential.parse(first: long, hasMore: false) }
    }

    @Test func `the type of a problem decides the exit code`() {
        func status(_ type: ProblemType) -> CommandStatus {
            RefusedRequest(problem: Problem(type, detail: "d"), statusCode: 400).failure.status
        }
        #expect(status(.unknownCredential) == .negative)
        #expect(status(.unknownClient) == .negative)
        #expect(status(.invalidValue) == .usage)
        #expect(status(.storeFull) == .failed)
        #expect(RefusedRequest(problem: nil, statusCode: 418).failure.status == .failed)
    }
}
