import AdministrationAPI

/// Prints a list of any length, a page at a time: memory holds one page, and the first lines come at once.
struct PagedList<Item: Codable & Sendable> {
    let path: String
    let filters: [(name: String, value: String?)]
    let columns: [String]
    let row: (Item) -> [String?]
    /// Where to begin; nil at the beginning.
    var start: String?

    func print(_ connection: ControlConnection, json: Bool) async throws {
        var after = start
        var isFirst = true
        repeat {
            let query = filters + [("limit", String(PageLimits.itemsMax)), ("after", after)]
            let page: PageResource<Item> = try await connection.send(.GET, path, query: query)
            if json {
                for item in page.items { try Console.json(item) }
            } else if isFirst || !page.items.isEmpty {
                var table = Table(columns)
                for item in page.items { table.add(row(item)) }
                try Console.line(table.render(withHeader: isFirst))
            }
            isFirst = false
            after = page.next
        } while after != nil
    }
}
