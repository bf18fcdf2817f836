import AdministrationAPI

/// Makes more keys than one request may ask for, by several requests under way at once: those that wait for the store
/// together share one commit.
struct ManyKeys {
    /// The most that one call makes.
    static let countMax = 100_000_000
    /// Requests under way. More do not make the store faster.
    private static let requestsMax = 8

    let connection: ControlConnection
    let count: Int
    /// The request for so many of them.
    let request: @Sendable (_ count: Int) -> KeyCreateRequest

    /// Prints each key as soon as it is made, one JSON object a line, in no order.
    /// - Throws: ``CommandFailure`` with how many were made: those that were printed exist.
    func run() async throws {
        var progress = ProgressBar("creating")
        defer { progress.finish() }
        var asked = 0
        var made = 0
        do {
            try await withThrowingTaskGroup(of: KeysCreated.self) { group in
                func ask() {
                    guard asked < count else { return }
                    let size = min(KeyCreateRequest.countMax, count - asked)
                    let request = request(size)
                    asked += size
                    group.addTask { [connection, request] in
                        try await connection.send(.POST, "/v1/keys", body: request)
                    }
                }
                for _ in 0..<Self.requestsMax { ask() }
                while let created = try await group.next() {
                    ask()
                    try Console.jsonLines(created.items)
                    made += created.items.count
                    progress.update(done: made, of: count)
                }
            }
        } catch let failure as CommandFailure {
            throw CommandFailure(
                "\(failure.message) \(made) of \(count) keys are made and printed; up to \(asked - made) more may have been made, "
                    + "whose texts are lost: list them by their owner and revoke what was not printed.",
                status: failure.status)
        }
    }
}
