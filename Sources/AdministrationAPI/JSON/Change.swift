/// What a merge patch says about a member that can be empty (RFC 7396): absent, `null`, or a value.
public enum Change<Value: Codable & Equatable & Sendable>: Equatable, Sendable {
    case leave, clear
    case set(Value)

    /// The change as the store takes it: nil leaves, some nil clears.
    public var asOptional: Value?? {
        switch self {
        case .leave: nil
        case .clear: .some(nil)
        case .set(let value): .some(value)
        }
    }
}

extension KeyedDecodingContainer {
    func decodeChange(_ type: String.Type, forKey key: Key) throws -> Change<String> {
        guard contains(key) else { return .leave }
        return try decodeIfPresent(type, forKey: key).map { .set($0) } ?? .clear
    }

    func decodeChange(_ type: Int64.Type, forKey key: Key) throws -> Change<Int64> {
        guard contains(key) else { return .leave }
        return try decodeWhole(forKey: key).map { .set($0) } ?? .clear
    }
}

extension KeyedEncodingContainer {
    mutating func encodeChange<Value>(_ change: Change<Value>, forKey key: Key) throws {
        switch change {
        case .leave: break
        case .clear: try encodeNil(forKey: key)
        case .set(let value): try encode(value, forKey: key)
        }
    }
}
