import Foundation

/// What one entry of `GET /v1/changes` says of cached answers.
struct Change: Decodable, Sendable {
    /// The credential that it happened to.
    let id: String?
    /// Everything of this client.
    let clientID: String?
    /// Everything of this grant.
    let family: String?
    /// Everything: an answer does not tell what it would have to be matched by.
    let flush: Bool?

    private enum CodingKeys: String, CodingKey {
        case id, family, flush
        case clientID = "client_id"
    }
}

/// One answer of the change feed.
struct ChangePage: Decodable, Sendable {
    /// The life of the store that the numbers are of.
    let incarnation: String
    let changes: [Change]
    /// Where to go on.
    let next: UInt64
}
