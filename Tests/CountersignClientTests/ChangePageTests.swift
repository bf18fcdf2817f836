import Foundation
import Testing

@testable import CountersignClient

@Suite struct `A page of changes` {
    private func page(_ count: Int, more: String) throws -> ChangePage {
        let changes = Array(repeating: "{}", count: count).joined(separator: ",")
        let text = "{\"incarnation\":\"1\",\"changes\":[\(changes)],\"next\":9\(more)}"
        return try JSONDecoder().decode(ChangePage.self, from: Data(text.utf8))
    }

    @Test func `proves something only if there is no more behind it`() throws {
        #expect(try page(0, more: ",\"more\":false").isComplete)
        #expect(try !page(0, more: ",\"more\":true").isComplete)
        #expect(try !page(3, more: ",\"more\":true").isComplete)
        #expect(try !page(1_000, more: "").isComplete)
        // An older service.
        #expect(try page(3, more: "").isComplete)
    }
}
