/// How a command ends, for scripts. Thrown to end with nothing more to say.
enum CommandStatus: Int32, Error, Equatable {
    case done = 0
    /// The credential is inactive, or what was asked for does not exist.
    case negative = 1
    /// The arguments are wrong.
    case usage = 2
    case failed = 3
}

/// Why a command failed, in words that say what to do.
struct CommandFailure: Error, Equatable {
    let message: String
    let status: CommandStatus
    /// The request may have reached the daemon, and its answer was not read: what was asked for may be done.
    let mayBeDone: Bool

    init(_ message: String, status: CommandStatus = .failed, mayBeDone: Bool = false) {
        self.message = message
        self.status = status
        self.mayBeDone = mayBeDone
    }
}
