import AdministrationAPI
import CredentialModel
import Hummingbird
import Issuance
import NIOPosix
import NetworkAddress

/// One request with its path parameters, query and body read and bounded.
struct Exchange: Sendable {
    let request: Request
    let parameters: Parameters
    let query: QueryParameters
    let body: [UInt8]
    /// In the name of whoever asks.
    let issuer: Issuer
    /// Throws unless the caller still has the right: for answers that go on for longer than a moment.
    let judgeAgain: @Sendable () async throws -> Void

    /// The body, read strictly.
    func decode<Value: Decodable>(_ type: Value.Type) throws(Problem) -> Value {
        do {
            return try StrictJSON.decode(type, from: body.isEmpty ? Array("{}".utf8) : body)
        } catch {
            throw Problem(error)
        }
    }

    /// The same of a body of megabytes: off the cooperative threads, on which all of administration runs.
    func decodeLarge<Value: Decodable & Sendable>(_ type: Value.Type) async throws -> Value {
        try await NIOThreadPool.singleton.runIfActive { try decode(type) }
    }

    /// A path parameter, percent-decoded once.
    func parameter(_ name: String) throws(Problem) -> String {
        guard let raw = parameters.get(name), !raw.isEmpty else { throw Problem(.notFound) }
        guard let text = PercentEncoding.decode(raw, plusIsSpace: false) else {
            throw Problem(.notFound, detail: "The path is not percent-encoded UTF-8.")
        }
        return text
    }

    /// The credential in the path. Text that cannot be an id names no credential.
    func credentialID() throws(Problem) -> CredentialID {
        guard let id = CredentialID(try parameter("id")) else { throw Problem(.unknownCredential) }
        return id
    }
}

extension UnixSeconds {
    /// A time from a request; nil stays nil.
    ///
    /// - Throws: ``Problem`` outside of 1970 to 9999.
    static func from(_ seconds: Int64?, member: String) throws(Problem) -> UnixSeconds? {
        guard let seconds else { return nil }
        guard (0...UnixSeconds.latest.rawValue).contains(seconds) else {
            let detail = "'\(member)' must be seconds since 1970, no later than the year 9999."
            throw Problem(.invalidValue, detail: detail, member: member)
        }
        return UnixSeconds(seconds)
    }
}
