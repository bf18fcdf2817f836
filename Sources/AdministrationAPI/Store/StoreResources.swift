/// Answer to `GET /v1/store/statistics`, in the order that the store tells them.
public struct StoreStatistics: Codable, Equatable, Sendable {
    public struct Entry: Codable, Equatable, Sendable {
        public let name: String
        public let value: Int64

        public init(name: String, value: Int64) {
            self.name = name
            self.value = value
        }
    }

    public let items: [Entry]

    public init(items: [Entry]) {
        self.items = items
    }
}

/// Answer to `GET /v1/store/check`: the store is sound when there are no problems.
public struct StoreCheck: Codable, Equatable, Sendable {
    public let isSound: Bool
    public let problems: [String]

    public init(problems: [String]) {
        isSound = problems.isEmpty
        self.problems = problems
    }

    enum CodingKeys: String, CodingKey {
        case isSound = "sound"
        case problems
    }
}

/// Answer to `GET /livez` and `GET /readyz`.
public struct HealthResource: Codable, Equatable, Sendable {
    /// `alive` or `ready`.
    public let status: String

    public init(status: String) {
        self.status = status
    }
}
