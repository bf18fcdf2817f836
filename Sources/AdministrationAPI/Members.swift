// How the objects of this API are read and written.
//
// Each object lists its members once, in `members(_:)`. A visitor then reads them, writes them, collects their names to find
// unknown ones, or writes the line of an export. So there is only one list of names, and a value that several objects contain
// (``KeyProperties``) adds its members to each of them.

public import CredentialModel

/// Reads or writes the members of an object.
public protocol MemberVisitor {
    associatedtype Failure: Error

    /// A member that must be present.
    mutating func required<Value: Codable>(_ name: String, _ value: inout Value) throws(Failure)
    /// A member that may be missing; the value then stays as it is.
    mutating func defaulted<Value: Codable>(_ name: String, _ value: inout Value) throws(Failure)
    /// A member that may be missing or `null`. In a merge patch, where `null` means "remove", `null` is refused as a wrong type.
    mutating func optional<Value: Codable>(_ name: String, _ value: inout Value?) throws(Failure)
    /// A member that a merge patch removes by `null` (RFC 7396). Elsewhere `null` means the same as a missing member.
    mutating func removable<Value: Codable & Sendable>(_ name: String, _ value: inout MemberEdit<Value>) throws(Failure)
}

extension MemberVisitor {
    /// A scope, which is one string in JSON (RFC 6749 §3.3). If it is missing, the value stays as it is.
    mutating func words(_ name: String, _ value: inout [String]) throws(Failure) {
        var scope = SpaceSeparated(value)
        try defaulted(name, &scope)
        value = scope.words
    }

    /// A scope that may be missing, which is nil; see ``optional(_:_:)``.
    mutating func words(_ name: String, _ value: inout [String]?) throws(Failure) {
        var scope = value.map { SpaceSeparated($0) }
        try optional(name, &scope)
        value = scope?.words
    }

    /// A removable time, which is a number of seconds since the Unix epoch in JSON.
    mutating func time(_ name: String, _ value: inout MemberEdit<UnixSeconds>) throws(Failure) {
        var seconds = value.map(\.rawValue)
        try removable(name, &seconds)
        value = seconds.map { UnixSeconds($0) }
    }
}

/// An object of the API.
public protocol JSONObject: Codable, Equatable, Sendable {
    /// An object with default values, into which the members are read.
    init()
    /// Passes each member to the visitor.
    mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure)
}

/// The body of a request. It is read strictly: unknown members are refused.
public protocol StrictRequest: JSONObject {
    /// Whether it is a merge patch (RFC 7396).
    static var isPatch: Bool { get }
}

/// An answer. It always has all members, some of which may be `null`, so that scripts find the same ones in every line. It is
/// read leniently: members of later versions are ignored.
public protocol Resource: JSONObject {}

extension StrictRequest {
    public static var isPatch: Bool { false }

    /// The media type of the body.
    public static var mediaType: String { isPatch ? StrictJSON.patchMediaType : StrictJSON.mediaType }

    /// Whether the request has a member with this name. An error must not name any other.
    public static func hasMember(_ name: String) -> Bool { memberNames.contains(name) }

    private static var memberNames: [String] {
        var blank = Self()
        var visitor = MemberNames()
        blank.members(&visitor)
        return visitor.names
    }

    /// - Throws: ``MalformedRequest`` for an unknown member, `DecodingError` if the value is not an object.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: MemberName.self)
        let names = Self.memberNames
        for member in members.allKeys where !names.contains(member.stringValue) {
            throw MalformedRequest(.unknownMember, path: decoder.codingPath + [member])
        }
        var visitor = MemberReader(members: members, isPatch: Self.isPatch)
        self.init()
        try self.members(&visitor)
    }

    public func encode(to encoder: any Encoder) throws {
        var visitor = MemberWriter(members: encoder.container(keyedBy: MemberName.self), writesNull: false)
        var copy = self
        try copy.members(&visitor)
    }
}

extension Resource {
    public init(from decoder: any Decoder) throws {
        var visitor = MemberReader(members: try decoder.container(keyedBy: MemberName.self), isPatch: false)
        self.init()
        try members(&visitor)
    }

    public func encode(to encoder: any Encoder) throws {
        var visitor = MemberWriter(members: encoder.container(keyedBy: MemberName.self), writesNull: true)
        var copy = self
        try copy.members(&visitor)
    }
}

/// The name of a member.
private struct MemberName: CodingKey {
    let stringValue: String
    let intValue: Int? = nil

    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

private struct MemberNames: MemberVisitor {
    private(set) var names: [String] = []

    mutating func required<Value: Codable>(_ name: String, _ value: inout Value) { names.append(name) }
    mutating func defaulted<Value: Codable>(_ name: String, _ value: inout Value) { names.append(name) }
    mutating func optional<Value: Codable>(_ name: String, _ value: inout Value?) { names.append(name) }
    mutating func removable<Value: Codable>(_ name: String, _ value: inout MemberEdit<Value>) { names.append(name) }
}

private struct MemberReader: MemberVisitor {
    let members: KeyedDecodingContainer<MemberName>
    let isPatch: Bool

    func required<Value: Codable>(_ name: String, _ value: inout Value) throws {
        value = try read(name) { try members.decode(Value.self, forKey: $0) }
    }

    func defaulted<Value: Codable>(_ name: String, _ value: inout Value) throws {
        value = try read(name) { try members.decodeIfPresent(Value.self, forKey: $0) } ?? value
    }

    func optional<Value: Codable>(_ name: String, _ value: inout Value?) throws {
        value = try read(name) { name in
            guard isPatch else { return try members.decodeIfPresent(Value.self, forKey: name) }
            return members.contains(name) ? try members.decode(Value.self, forKey: name) : nil
        }
    }

    func removable<Value: Codable>(_ name: String, _ value: inout MemberEdit<Value>) throws {
        value = try read(name) { name in
            guard !isPatch || members.contains(name) else { return .unchanged }
            if let found = try members.decodeIfPresent(Value.self, forKey: name) { return .set(found) }
            return isPatch ? .removed : .unchanged
        }
    }

    /// For 1.5 or 1e99 where an integer is expected, `JSONDecoder` internally throws an error other than `DecodingError` and
    /// reports only that the data is not JSON. Caught here, it can be reported with the name of the member.
    private func read<Value>(_ name: String, _ body: (MemberName) throws -> Value) throws -> Value {
        do {
            return try body(MemberName(name))
        } catch let error where error is DecodingError || error is MalformedRequest {
            throw error
        } catch {
            throw MalformedRequest(.wrongType, path: members.codingPath + [MemberName(name)])
        }
    }
}

private struct MemberWriter: MemberVisitor {
    var members: KeyedEncodingContainer<MemberName>
    /// Whether a nil value is written as `null`; otherwise it is left out.
    let writesNull: Bool

    mutating func required<Value: Codable>(_ name: String, _ value: inout Value) throws { try write(name, value) }
    mutating func defaulted<Value: Codable>(_ name: String, _ value: inout Value) throws { try write(name, value) }

    mutating func optional<Value: Codable>(_ name: String, _ value: inout Value?) throws {
        if let value {
            try write(name, value)
        } else if writesNull {
            try members.encodeNil(forKey: MemberName(name))
        }
    }

    mutating func removable<Value: Codable>(_ name: String, _ value: inout MemberEdit<Value>) throws {
        switch value {
        case .unchanged: break
        case .removed: try members.encodeNil(forKey: MemberName(name))
        case .set(let value): try write(name, value)
        }
    }

    /// The encoder's methods for these types take half the time of the generic one.
    private mutating func write<Value: Codable>(_ name: String, _ value: Value) throws {
        switch value {
        case let text as String: try members.encode(text, forKey: MemberName(name))
        case let number as Int64: try members.encode(number, forKey: MemberName(name))
        case let truth as Bool: try members.encode(truth, forKey: MemberName(name))
        default: try members.encode(value, forKey: MemberName(name))
        }
    }
}

/// Writes the members of one object as a ``JSONLine``, in the order of `members(_:)`.
struct MemberLine: MemberVisitor {
    private(set) var line = JSONLine()

    mutating func required<Value: Codable>(_ name: String, _ value: inout Value) { add(name, value) }
    mutating func defaulted<Value: Codable>(_ name: String, _ value: inout Value) { add(name, value) }

    mutating func optional<Value: Codable>(_ name: String, _ value: inout Value?) {
        if let value { add(name, value) } else { line.addNull(name) }
    }

    mutating func removable<Value: Codable>(_ name: String, _ value: inout MemberEdit<Value>) {
        if case .set(let value) = value { add(name, value) } else { line.addNull(name) }
    }

    /// The compiler specialises this for the type of each member, so that the casts cost nothing.
    private mutating func add<Value: Codable>(_ name: String, _ value: Value) {
        switch value {
        case let text as String: line.add(name, text)
        case let number as Int64: line.add(name, number)
        case let truth as Bool: line.add(name, truth)
        case let texts as [String]: line.add(name, texts)
        case let scope as SpaceSeparated: line.add(name, scope.description)
        case let state as CredentialState: line.add(name, state.rawValue)
        default: line.add(name, encoded: (try? StrictJSON.encode(value)).map(Array.init) ?? Array("null".utf8))
        }
    }
}
