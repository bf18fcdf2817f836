/// What is asked of the server.
package enum RequestKind: String, CaseIterable, Sendable {
    /// `POST /oauth2/introspect`, the credential in a form.
    case introspect
    /// `GET /verify`, the credential as the request's own.
    case verify
    /// `POST /v1/verify`, several credentials in JSON.
    case batch
}

/// A whole request with gaps for its credentials.
///
/// All requests of a kind have the same length: sending one costs the filling of its gaps and one copy.
struct RequestTemplate: Sendable {
    private(set) var bytes: [UInt8] = []
    /// Where the credentials go, 66 bytes each.
    private(set) var gaps: [Int] = []
    /// Where `ApiKey` or `Bearer` goes, if the credential is the request's own.
    private var schemeGap: Int?

    private static let keyScheme = Array("ApiKey".utf8)
    /// As long as the other: neither the gaps nor the request's length depend on it.
    private static let bearerScheme = Array("Bearer".utf8)

    /// - Parameters:
    ///   - authorization: value of the caller's own `Authorization`, for introspection and batches.
    ///   - batchSize: credentials of a batch, at least 1.
    init(_ kind: RequestKind, host: String, authorization: String?, batchSize: Int) {
        let caller = authorization.map { "Authorization: \($0)\r\n" } ?? ""
        switch kind {
        case .introspect:
            post("/oauth2/introspect", host, caller, "application/x-www-form-urlencoded", pieces: ["token=", ""])
        case .verify:
            append("GET /verify HTTP/1.1\r\nHost: \(host)\r\nAuthorization: ")
            schemeGap = bytes.count
            bytes += Self.keyScheme
            append(pieces: [" ", "\r\n\r\n"])
        case .batch:
            let between = Array(repeating: #"",""#, count: batchSize - 1)
            post("/v1/verify", host, caller, "application/json", pieces: [#"{"credentials":[""#] + between + [#""]}"#])
        }
    }

    /// Calls `write` with the bytes and where to put the credential of this number.
    mutating func fill(_ index: Int, isToken: Bool, _ write: (inout [UInt8], Int) -> Void) {
        if let schemeGap {
            let scheme = isToken ? Self.bearerScheme : Self.keyScheme
            for index in scheme.indices { bytes[schemeGap + index] = scheme[index] }
        }
        write(&bytes, gaps[index])
    }

    private mutating func post(_ path: String, _ host: String, _ caller: String, _ type: String, pieces: [String]) {
        let length = pieces.reduce((pieces.count - 1) * CredentialLayout.byteCount) { $0 + $1.utf8.count }
        append("POST \(path) HTTP/1.1\r\nHost: \(host)\r\n\(caller)")
        append("Content-Type: \(type)\r\nContent-Length: \(length)\r\n\r\n")
        append(pieces: pieces)
    }

    /// Appends texts with gaps between them.
    private mutating func append(pieces: [String]) {
        append(pieces[0])
        for piece in pieces.dropFirst() {
            gaps.append(bytes.count)
            bytes += Array(repeating: 0x30, count: CredentialLayout.byteCount)
            append(piece)
        }
    }

    private mutating func append(_ text: String) {
        bytes += text.utf8
    }
}
