import Foundation
import NIOCore
import Testing

/// A request for changes.
func changes(_ query: String = "", _ fields: String?...) -> String {
    request("GET /v1/changes\(query)", fields.compactMap { $0 })
}

extension Answer {
    func changes() throws -> [[String: Any]] { try #require(try json()["changes"] as? [[String: Any]]) }

    func numbers() throws -> [UInt64] { try changes().map { try #require($0["number"] as? UInt64) } }

    func next() throws -> UInt64 { try #require(try json()["next"] as? UInt64) }

    func incarnation() throws -> String { try #require(try json()["incarnation"] as? String) }
}

extension RunningServer {
    /// A new client that may follow the changes.
    func follower() async throws -> CallingClient { try await caller(rights: ["changes"]) }

    /// The number at the end of the journal.
    func end(_ client: WireClient, _ caller: CallingClient) async throws -> UInt64 {
        try await client.ask(changes("", caller.authorization)).next()
    }
}

/// A stream of events, parsed as a browser does.
final class EventStream {
    struct Event: Equatable {
        var id: String?
        var name: String?
        var data = ""

        func json() throws -> [String: Any] {
            try #require(try JSONSerialization.jsonObject(with: Data(data.utf8)) as? [String: Any])
        }
    }

    struct Ended: Error {}

    private let client: WireClient
    /// The head without its first line end, and the status.
    private(set) var head = ""
    private(set) var comments = 0
    private(set) var retry: String?

    init(_ client: WireClient, _ request: String) async throws {
        self.client = client
        try await client.send(request)
        head = try await client.text(until: "\r\n\r\n")
    }

    /// The next event; throws ``Ended`` at the end of the connection.
    func next() async throws -> Event {
        while true {
            let block = try await client.text(until: "\n\n")
            var event = Event()
            for line in block.split(separator: "\n", omittingEmptySubsequences: false) where !line.isEmpty {
                if line.hasPrefix(":") {
                    comments += 1
                } else if line.hasPrefix("id: ") {
                    event.id = String(line.dropFirst(4))
                } else if line.hasPrefix("event: ") {
                    event.name = String(line.dropFirst(7))
                } else if line.hasPrefix("data: ") {
                    event.data += line.dropFirst(6)
                } else if line.hasPrefix("retry: ") {
                    retry = String(line.dropFirst(7))
                } else {
                    throw Answer.Malformed(what: "line of an event: \(line)")
                }
            }
            if !event.data.isEmpty { return event }
        }
    }

    /// Events with a number, as many as requested.
    func changes(_ count: Int) async throws -> [UInt64] {
        var numbers: [UInt64] = []
        while numbers.count < count {
            let event = try await next()
            guard event.name == nil else { continue }
            let number = try #require(try event.json()["number"] as? UInt64)
            #expect(event.id == String(number))
            numbers.append(number)
        }
        return numbers
    }
}
