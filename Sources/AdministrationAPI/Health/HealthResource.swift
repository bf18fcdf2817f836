/// Answer to `GET /livez` and `GET /readyz`.
public struct HealthResource: Codable, Equatable, Sendable {
    /// `alive` or `ready`.
    public let status: String

    public init(status: String) {
        self.status = status
    }
}
