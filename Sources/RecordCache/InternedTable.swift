import CredentialModel
import Synchronization

/// Texts by number, for readers without a lock: scope sets, audience sets, network sets and client ids.
///
/// The store gives each distinct text a number once and never again, so a text can be published once and never changes.
/// Texts live in one growing region of words: `directory` → chunk → word number of the text → length and bytes.
/// A reader never sees a number before its text, since records naming it are published later.
public final class InternedTable: Sendable {
    /// What a number stands for; each has its own numbers, from 1.
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

    /// Publishes the text of a number, before any record that names it is published. The one writer only.
    public func publish(_ kind: Kind, _ number: UInt32, _ text: [UInt8]) {
        texts(kind).publish(number, text)
    }

    /// The text of a number; empty for 0 and for numbers that were never published.
    @inline(__always)
    public func withText<Value>(_ kind: Kind, _ number: UInt32, _ body: (RawSpan) -> Value) -> Value {
        texts(kind).withText(number, body)
    }
}
