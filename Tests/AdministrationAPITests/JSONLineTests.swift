import AdministrationAPI
import Foundation
import Testing

@Suite struct `A JSON line` {
    @Test func `is read back as what went in, whatever that was`() throws {
        var hostile = (0...0x7F).map { String(UnicodeScalar(UInt8($0))) }.joined()
        hostile += "é🔑\u{2028}\u{FFFF}\u{10FFFF}"
        var line = JSONLine()
        line.add("text", hostile)
        line.add(hostile, "")
        line.add("number", Int64.min)
        line.add("truth", true)
        line.add("list", ["", hostile, "x"])
        line.add("none", [String]())
        let read = try #require(try JSONSerialization.jsonObject(with: Data(line.bytes)) as? [String: Any])
        #expect(read["text"] as? String == hostile && read[hostile] as? String == "")
        #expect(read["number"] as? Int64 == Int64.min && read["truth"] as? Bool == true)
        #expect(read["list"] as? [String] == ["", hostile, "x"] && read["none"] as? [String] == [])
        #expect(!line.bytes.contains(0x0A))
        #expect(JSONLine().bytes == Array("{}".utf8))
    }
}
