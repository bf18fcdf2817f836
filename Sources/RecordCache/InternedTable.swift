import CredentialModel
import Synchronization

/// Texts by number, readable without a lock: scope sets, audience sets, network sets and client ids.
///
/// The store gives each distinct text one number and never reuses it, so a published text never changes. A reader never sees
/// a number before its text, because records that refer to it are published later.
public final class InternedTable: Sendable {
    /// The kinds of text; each has its own numbers, from 1.
    public enum Kind: Int, Sendable, CaseIterable {
        case client, scopes, audiences, networks
    }

    private let clients = NumberedTexts()
    private let scopes = NumberedTexts()
    private let audiences = NumberedTexts()
    private let networks = NumberedTexts()

    public init() {}

    @inline(__always)
    private func texts(_ kind: Kind) -> NumberedTexts {
        switch kind {
        case .client: clients
        case .scopes: scopes
        case .audiences: audiences
        case .networks: networks
        }
    }

    /// Publishes the text of a number, before any record that refers to it. Only one writer at a time.
    public func publish(_ kind: Kind, _ number: UInt32, _ text: [UInt8]) {
        texts(kind).publish(number, text)
    }

    /// Calls `body` with the text of a number; with an empty text for 0 and for numbers that were never published.
    @inline(__always)
    public func withText<Value>(_ kind: Kind, _ number: UInt32, _ body: (RawSpan) -> Value) -> Value {
        texts(kind).withText(number, body)
    }
}
