import Crypto
import Foundation

/// What a cached answer is found by: a keyed hash of the whole question, so that the same key always means the same question
/// and no credential lies in memory for longer than its request.
///
/// The requirement is a part of it: an address is judged by a limit that answers do not tell, and what is not decided here
/// cannot be decided differently from the service.
struct AnswerKey: Hashable, Sendable {
    private let code: HMAC<SHA256>.MAC

    /// The key of the hash; drawn anew in each process.
    struct Secret: Sendable {
        fileprivate let key = SymmetricKey(size: .bits256)
    }

    init(_ credential: Credential, _ requirement: Requirement, _ secret: Secret) {
        var hash = HMAC<SHA256>(key: secret.key)
        // Each part with its length in front, so that no two questions are the same bytes.
        func add(_ text: String?) {
            let bytes = Array((text ?? "").utf8)
            hash.update(data: Data("\(text == nil ? "-" : String(bytes.count)):".utf8))
            hash.update(data: Data(bytes))
        }
        add(credential.text)
        add(requirement.audience)
        add(requirement.clientIP)
        for scope in requirement.scopes { add(scope) }
        code = hash.finalize()
    }
}
