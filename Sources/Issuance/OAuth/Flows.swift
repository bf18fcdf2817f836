import CredentialModel
import CredentialStore
import RecordCache

extension Issuer {
    /// Runs a mutation of a flow; starts again if an id or the pepper is unusable.
    func flow<Value: Sendable>(_ body: (CredentialStore) async throws -> Value) async throws(OAuthError) -> Value {
        while true {
            do {
                return try await body(store)
            } catch is DrawAgain {
                continue
            } catch {
                throw OAuthError(error)
            }
        }
    }

    static func grants(_ scope: [String], _ audience: [String]) throws(OAuthError) -> Grants {
        do throws(IssuanceError) {
            return try Grants(scope: scope, audience: audience, until: .never, by: .flow)
        } catch {
            throw OAuthError(.invalidScope, error.message)
        }
    }

    /// The words of an interned set.
    func words(_ kind: InternedTable.Kind, _ number: UInt32) -> [String] {
        store.published.words(kind, number)
    }
}
