/// A pepper by its number; the bytes never leave the pepper file.
public struct PepperResource: Codable, Equatable, Sendable {
    public let number: Int
    /// True for the one that new credentials are tagged with.
    public let isNewest: Bool
    /// How many credentials are still tagged with it.
    public let records: Int

    public init(number: Int, isNewest: Bool, records: Int) {
        self.number = number
        self.isNewest = isNewest
        self.records = records
    }

    enum CodingKeys: String, CodingKey {
        case number, records
        case isNewest = "newest"
    }
}

/// Answer to `GET /v1/peppers`.
public struct PepperList: Codable, Equatable, Sendable {
    public let items: [PepperResource]
    /// The names of the keys of other systems that hashes can be imported under.
    public let hmacKeys: [String]

    public init(items: [PepperResource], hmacKeys: [String]) {
        self.items = items
        self.hmacKeys = hmacKeys
    }

    enum CodingKeys: String, CodingKey {
        case items
        case hmacKeys = "hmac_keys"
    }
}
