/// One page of a list. `next` goes into the query as `after` and is null on the last page.
public struct PageResource<Item: Codable & Sendable>: Codable, Sendable {
    public let items: [Item]
    public let next: String?

    public init(items: [Item], next: String?) {
        self.items = items
        self.next = next
    }

    private enum CodingKeys: String, CodingKey { case items, next }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(items, forKey: .items)
        try container.encode(next, forKey: .next)
    }
}

/// How many items a page holds.
public enum PageLimits {
    public static let itemsDefault = 100
    public static let itemsMax = 1_000
}
