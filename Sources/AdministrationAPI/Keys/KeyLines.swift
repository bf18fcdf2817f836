import Foundation

/// Many newborn keys that differ in id and text only, as the lines of `POST /v1/keys/bulk`: what they have in common is
/// written once, and each line is put together from it.
public struct KeyLines: Sendable {
    /// Everything from behind the text of the key on.
    private let rest: Data

    public init(alike first: CredentialResource) throws {
        rest = try StrictJSON.encode(Rest(first)).dropFirst()
    }

    /// A line in JSON, as ``KeyCreated`` is read. Ids and native keys are letters, digits and low lines: nothing to escape.
    public func append(id: String, key: [UInt8], to lines: inout [UInt8]) {
        lines.append(contentsOf: #"{"id":""#.utf8)
        lines.append(contentsOf: id.utf8)
        lines.append(contentsOf: #"","key":""#.utf8)
        lines.append(contentsOf: key)
        lines.append(contentsOf: #"","#.utf8)
        lines.append(contentsOf: rest)
        lines.append(0x0A)
    }

    /// The members of ``KeyCreated`` besides `id` and `key`; never empty.
    private struct Rest: Encodable {
        let created: KeyCreated

        init(_ resource: CredentialResource) { created = KeyCreated(resource, key: nil) }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: KeyCreated.CodingKeys.self)
            try created.encodeAlike(into: &container)
        }
    }
}
