import AdministrationAPI
import Foundation

/// The shape of a JSON value: as a Codable type reads and writes it, or as a schema describes it.
indirect enum MemberShape {
    /// - Parameter allowed: the only values; nil: any, or unknown.
    case text(allowed: Set<String>?)
    case integer, truth
    case list(MemberShape)
    /// An object whose names are not fixed.
    case map
    case object([String: Member])

    struct Member {
        var shape: MemberShape
        /// In a request: it is required. In a response: it is always present.
        var isRequired: Bool
        var isNullable: Bool
    }
}

extension MemberShape {
    /// The shape of a request, found by decoding the type, so that no list has to be maintained.
    init<Request: Decodable>(ofRequest type: Request.Type) throws {
        self = try MemberRecorder.decode(type).shape
    }

    /// The shape of a response, found by decoding and encoding the type. Encoding it without optional members shows
    /// which members are always present and which may be null: once for each level of objects, because an absent object
    /// hides its members.
    init<Answer: Codable>(ofAnswer type: Answer.Type) throws {
        let full = try MemberRecorder.decode(type)
        let sparse = try (0..<4).map { try Self.json(MemberRecorder.decode(type, emptyAt: $0).value) }
        self = try full.shape.asEncoded(full: Self.json(full.value), sparse: sparse, level: 0, "\(type)")
    }

    private static func json(_ value: some Encodable) throws -> Any {
        try JSONSerialization.jsonObject(with: try StrictJSON.encode(value), options: .fragmentsAllowed)
    }

    private func asEncoded(full: Any, sparse: [Any?], level: Int, _ place: String) throws -> MemberShape {
        switch self {
        case .list(let element):
            guard let first = (full as? [Any])?.first else { return self }
            let sparse = sparse.map { ($0 as? [Any])?.first }
            return .list(try element.asEncoded(full: first, sparse: sparse, level: level, place + "[]"))
        case .object(let members):
            guard let full = full as? [String: Any], level < sparse.count,
                let without = sparse[level] as? [String: Any],
                Set(full.keys) == Set(members.keys)
            else { throw Mismatch(description: "\(place) encodes other members than it decodes") }
            var encoded: [String: Member] = [:]
            for (name, member) in members {
                let shape = try member.shape.asEncoded(
                    full: full[name] as Any, sparse: sparse.map { ($0 as? [String: Any])?[name] }, level: level + 1,
                    "\(place).\(name)")
                encoded[name] = Member(
                    shape: shape, isRequired: without[name] != nil, isNullable: without[name] is NSNull)
            }
            return .object(encoded)
        default: return self
        }
    }

    struct Mismatch: Error, CustomStringConvertible {
        let description: String
    }
}

extension MemberShape {
    /// The differences between a schema and a type; empty if they agree.
    /// - Parameter code: the shape of the type.
    func differences(to code: MemberShape, at place: String) -> [String] {
        switch (self, code) {
        case (.text(let documented), .text(let allowed)):
            return allowed == nil || documented == allowed ? [] : ["\(place): other values than in the code"]
        case (.integer, .integer), (.truth, .truth), (.map, .map): return []
        case (.list(let documented), .list(let element)):
            return documented.differences(to: element, at: place + "[]")
        case (.object(let documented), .object(let members)):
            let names = Set(documented.keys).union(members.keys).sorted()
            return names.flatMap { name in
                let place = "\(place).\(name)"
                guard let described = documented[name] else { return ["\(place) is not in the document"] }
                guard let member = members[name] else { return ["\(place) is not in the code"] }
                var found = described.shape.differences(to: member.shape, at: place)
                if described.isRequired != member.isRequired {
                    found.append("\(place) is \(member.isRequired ? "" : "not ")required by the code")
                }
                if described.isNullable != member.isNullable {
                    found.append("\(place) is \(member.isNullable ? "" : "never ")null in the code")
                }
                return found
            }
        default: return ["\(place) has another type than in the code"]
        }
    }
}

/// A decoder that invents every value and records which ones are decoded.
final class MemberRecorder: Decoder {
    let codingPath: [any CodingKey] = []
    let userInfo: [CodingUserInfoKey: Any] = [:]
    /// The number of enclosing objects.
    private let level: Int
    private let emptyLevel: Int?
    private var leaf: MemberShape?
    private var members: [String: MemberShape.Member] = [:]
    private var timesLookedFor: [String: Int] = [:]

    private init(level: Int, emptyLevel: Int?) {
        self.level = level
        self.emptyLevel = emptyLevel
    }

    /// - Parameter emptyLevel: objects of this level have no optional members; nil: all objects have all members.
    static func decode<Value: Decodable>(
        _ type: Value.Type, at level: Int = 0, emptyAt emptyLevel: Int? = nil
    ) throws -> (value: Value, shape: MemberShape) {
        if let (value, shape) = madeUp(type), let value = value as? Value { return (value, shape) }
        let recorder = MemberRecorder(level: level, emptyLevel: emptyLevel)
        let value = try Value(from: recorder)
        return (value, recorder.leaf ?? .object(recorder.members))
    }

    private static func madeUp(_ type: any Decodable.Type) -> (Any, MemberShape)? {
        if let type = type as? any (CaseIterable & RawRepresentable<String>).Type { return words(type) }
        return switch type {
        case is String.Type: ("text", .text(allowed: nil))
        case is Bool.Type: (true, .truth)
        case is Int.Type: (2, .integer)
        case is Int64.Type: (Int64(2), .integer)
        case is UInt32.Type: (UInt32(2), .integer)
        case is UInt64.Type: (UInt64(2), .integer)
        case is [String: Int].Type: (["text": 2], .map)
        default: nil
        }
    }

    private static func words<Word: CaseIterable & RawRepresentable<String>>(_: Word.Type) -> (Any, MemberShape)? {
        Word.allCases.first.map { ($0, .text(allowed: Set(Word.allCases.map(\.rawValue)))) }
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(Members<Key>(recorder: self))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { Elements(recorder: self) }
    func singleValueContainer() throws -> any SingleValueDecodingContainer { Whole(recorder: self) }

    struct Unforeseen: Error {}

    private struct Members<Key: CodingKey>: KeyedDecodingContainerProtocol {
        let recorder: MemberRecorder
        let codingPath: [any CodingKey] = []
        /// A value that a strict request accepts.
        let allKeys: [Key] = []

        /// `decodeIfPresent` checks for the member first, and a merge patch checks once more before that.
        func contains(_ key: Key) -> Bool {
            recorder.timesLookedFor[key.stringValue, default: 0] += 1
            return recorder.level != recorder.emptyLevel
        }

        func decodeNil(forKey key: Key) throws -> Bool { false }

        func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
            let (value, shape) = try MemberRecorder.decode(
                type, at: recorder.level + 1, emptyAt: recorder.emptyLevel)
            let looks = recorder.timesLookedFor[key.stringValue] ?? 0
            recorder.members[key.stringValue] = .init(shape: shape, isRequired: looks == 0, isNullable: looks > 1)
            return value
        }

        func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type, forKey key: Key
        ) throws -> KeyedDecodingContainer<Nested> { throw Unforeseen() }
        func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { throw Unforeseen() }
        func superDecoder() throws -> any Decoder { throw Unforeseen() }
        func superDecoder(forKey key: Key) throws -> any Decoder { throw Unforeseen() }
    }

    /// One element.
    private struct Elements: UnkeyedDecodingContainer {
        let recorder: MemberRecorder
        let codingPath: [any CodingKey] = []
        let count: Int? = 1
        var currentIndex = 0
        var isAtEnd: Bool { currentIndex == 1 }

        mutating func decodeNil() throws -> Bool { false }

        mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
            let (value, shape) = try MemberRecorder.decode(
                type, at: recorder.level, emptyAt: recorder.emptyLevel)
            recorder.leaf = .list(shape)
            currentIndex = 1
            return value
        }

        mutating func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type
        ) throws -> KeyedDecodingContainer<Nested> { throw Unforeseen() }
        mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { throw Unforeseen() }
        mutating func superDecoder() throws -> any Decoder { throw Unforeseen() }
    }

    private struct Whole: SingleValueDecodingContainer {
        let recorder: MemberRecorder
        let codingPath: [any CodingKey] = []

        func decodeNil() -> Bool { false }

        func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
            let (value, shape) = try MemberRecorder.decode(
                type, at: recorder.level, emptyAt: recorder.emptyLevel)
            recorder.leaf = shape
            return value
        }
    }
}
