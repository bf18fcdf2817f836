// How the objects of this API are read and written.
//
// Each names its members once, in `members(_:)`, beside its properties. Everything else visits them there: reading, writing,
// the check for members that are not known, the fast lines of an export. So no list of names has to be kept in step with
// another, and values that several objects share (``KeyProperties``) put their members into each of them.

import CredentialModel

/// Goes through the members of an object.
public protocol MemberVisitor {
    associatedtype Failure: Error

    /// A member that has to be there.
    mutating func required<Value: Codable>(_ name: String, _ value: inout Value) throws(Failure)
    /// A member without which the value stays as it is.
    mutating func defaulted<Value: Codable>(_ name: String, _ value: inout Value) throws(Failure)
    /// A member that may be missing. `null` is the same, but in a merge patch a wrong type: there it would mean "remove".
    mutating func optional<Value: Codable>(_ name: String, _ value: inout Value?) throws(Failure)
    /// A member that a merge patch removes by `null` (RFC 7396): missing is nil, and `null` an inner nil. Elsewhere both are
    /// nil.
    mutating func removable<Value: Codable>(_ name: String, _ value: inout Value??) throws(Failure)
}

extension MemberVisitor {
    /// A scope that has to be there, or that has a default: one string (RFC 6749 §3.3).
    mutating func words(_ name: String, _ value: inout [String]) throws(Failure) {
        var scope = SpaceSeparated(value)
        try defaulted(name, &scope)
        value = scope.words
    }

    mutating func words(_ name: String, _ value: inout [String]?) throws(Failure) {
        var scope = value.map { SpaceSeparated($0) }
        try optional(name, &scope)
        value = scope?.words
    }

    /// Seconds since the Unix epoch.
    mutating func time(_ name: String, _ value: inout UnixSeconds??) throws(Failure) {
        var seconds = value.map { $0?.rawValue }
        try removable(name, &seconds)
        value = seconds.map { $0.map { UnixSeconds($0) } }
    }
}

/// An object of the API.
public protocol JSONObject: Codable, Equatable, Sendable {
    /// Blank, to be filled in.
    init()
    /// Names the members.
    mutating func members<Visitor: MemberVisitor>(_ visitor: inout Visitor) throws(Visitor.Failure)
}

/// A body of a request, read strictly: it has the members that it names and no others.
public protocol StrictRequest: JSONObject {
    /// Whether it is a merge patch (RFC 7396).
    static var isPatch: Bool { get }
}

/// An answer. All members are always there, `null` where there is nothing: a script finds the same ones in every line. Read
/// leniently: members of later versions are skipped.
public protocol Resource: JSONObject {}

extension StrictRequest {
    public static var isPatch: Bool { false }

    /// The media type of the body.
    public static var mediaType: String { isPatch ? StrictJSON.patchMediaType : StrictJSON.mediaType }

    /// Whether a request can have a member of this name. An error may only name one that it can have, spelled as there.
    public static func hasMember(_ name: String) -> Bool { memberNames.contains(name) }

    private static var memberNames: [String] {
        var blank = Self()
        var visitor = MemberNames()
        blank.members(&visitor)
        return visitor.names
    }

    /// - Throws: ``MalformedRequest`` for a member that is not known, `DecodingError` when there is no object.
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

/// Any name of a member.
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
    mutating func removable<Value: Codable>(_ name: String, _ value: inout Value??) { names.append(name) }
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

    func removable<Value: Codable>(_ name: String, _ value: inout Value??) throws {
        value = try read(name) { name in
            guard !isPatch || members.contains(name) else { return nil }
            let found = try members.decodeIfPresent(Value.self, forKey: name)
            return isPatch ? .some(found) : found.map { .some($0) }
        }
    }

    /// Of 1.5 and of 1e99 as a whole number `JSONDecoder` says in the end only that the data is not JSON, since the error it
    /// throws inside is none of `DecodingError`: here the member is named.
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
    /// Whether what is not there is written as `null` and not left out.
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

    mutating func removable<Value: Codable>(_ name: String, _ value: inout Value??) throws {
        guard let value else { return }
        if let value { try write(name, value) } else { try members.encodeNil(forKey: MemberName(name)) }
    }

    /// What an encoder has a method of its own for takes half the time by it.
    private mutating func write<Value: Codable>(_ name: String, _ value: Value) throws {
        switch value {
        case let text as String: try members.encode(text, forKey: MemberName(name))
        case let number as Int64: try members.encode(number, forKey: MemberName(name))
        case let truth as Bool: try members.encode(truth, forKey: MemberName(name))
        default: try members.encode(value, forKey: MemberName(name))
        }
    }
}

/// Writes the members of one object, in the order in which they are named.
struct MemberLine: MemberVisitor {
    private(set) var line = JSONLine()

    mutating func required<Value: Codable>(_ name: String, _ value: inout Value) { add(name, value) }
    mutating func defaulted<Value: Codable>(_ name: String, _ value: inout Value) { add(name, value) }

    mutating func optional<Value: Codable>(_ name: String, _ value: inout Value?) {
        if let value { add(name, value) } else { line.addNull(name) }
    }

    mutating func removable<Value: Codable>(_ name: String, _ value: inout Value??) {
        if let value = value ?? nil { add(name, value) } else { line.addNull(name) }
    }

    /// For each type of a member there is a version of this in which the compiler has decided the casts.
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
