import Issuance

extension MeasuredStore {
    /// Callers that issue at the same time.
    public static let callerCount = 64

    /// Issues keys one by one from ``callerCount`` callers at once, each durable before its caller goes on.
    public func issue(perCaller count: Int) async throws {
        let issuer = issuing
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<Self.callerCount {
                group.addTask {
                    for _ in 0..<count { _ = try await issuer.createKeys(KeyRequest(owner: "caller-\(caller)")) }
                }
            }
            try await group.waitForAll()
        }
    }
}
