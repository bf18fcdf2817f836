import Synchronization

/// A control plane that this process serves to itself because no daemon holds the store.
///
/// The verbs talk HTTP in both cases, so that there is one way through the program and not two.
struct InProcessControl: Sendable {
    /// Where it listens: a socket in a folder that only this user can enter.
    let address: ControlAddress
    /// Ends it and releases the store.
    let shutdown: @Sendable () async -> Void

    /// Opens the store in a folder under its lock and serves it.
    ///
    /// - Throws: ``CommandFailure`` when the folder holds no store, another process holds it, or it is not the user's.
    typealias Opener = @Sendable (_ storeFolder: String) async throws -> InProcessControl

    /// An opener for the current task: tests put their own here.
    @TaskLocal static var opener: Opener?

    /// The opener that the program was composed with; nil where it cannot open stores. Not the task-local above: pushing
    /// that one in the program's main task crashes in optimised builds (Swift 6.3).
    static let composed = Mutex<Opener?>(nil)
}
