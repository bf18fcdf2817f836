import AdministrationAPI

/// An answer that is not a success, and how the command ends then.
struct RefusedRequest {
    /// What the answer says, nil when it is not problem+json.
    let problem: Problem?
    let statusCode: Int

    /// Worth another try: nothing was done.
    var isBusy: Bool { problem?.type == .busy }

    var failure: CommandFailure {
        guard let problem else { return CommandFailure("The daemon answered with status \(statusCode).") }
        let status: CommandStatus =
            switch problem.type {
            case .unknownCredential, .unknownClient, .unknownOwner, .notFound: .negative
            case .invalidValue, .badQuery: .usage
            default: .failed
            }
        return CommandFailure(Self.sentence(of: problem), status: status)
    }

    /// A person has typed options and not members of JSON: `'expires_in'` is `'--expires-in'` here.
    private static func sentence(of problem: Problem) -> String {
        let sentence = problem.detail ?? "\(problem.title)."
        guard let member = problem.member, let option = options[member] else { return sentence }
        return sentence.replacing("'\(member)'", with: "'--\(option)'")
    }

    /// The options of the members that problems name.
    private static let options: [String: String] = [
        "owner": "owner", "name": "name", "scope": "scope", "aud": "audience",
        "network": "network", "expires_in": "expires-in", "exp": "expires-at", "nbf": "not-before", "count": "count",
        "overlap_seconds": "overlap", "issued_before": "issued-before", "sub": "subject",
        "client_id": "client", "client_ip": "client-ip", "grant_types": "grant", "redirect_uris": "redirect-uri",
        "certificate_san": "certificate-san", "may": "may", "head": "head",
        "expires_before": "expires-before", "search": "search",
    ]
}
