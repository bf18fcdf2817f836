import BareCalls
import Foundation
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

    /// Writes as many rows by LMDB's own calls, in groups of ``callerCount``.
    public func issueByLMDB(turn: Int, groups: Int) throws {
        // SAFETY: the path is NUL-terminated for the length of the call.
        let code = unsafe bare_lmdb_issue(
            root.appendingPathComponent(Self.writtenByLMDB).path, UInt32(turn), UInt32(groups), UInt32(Self.callerCount)
        )
        guard code == 0 else { throw MeasuringFault("LMDB's own calls fail with \(code)") }
    }
}
