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
            case .invalidValue: .usage
            default: .failed
            }
        return CommandFailure(problem.detail ?? "\(problem.title).", status: status)
    }
}
