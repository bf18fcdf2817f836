import CredentialStore

extension Issuer {
    /// Raises the level in which a fleet writes its log (``CredentialStore/LogLevel``). The nodes must all know it.
    /// - Throws: ``IssuanceError/conflict(reason:)`` for a level that this version does not know, or that is not the next.
    public func raiseLogLevel(to level: UInt32) async throws(IssuanceError) {
        let actor = actor
        try await mutate(creates: false) { writer, transaction in
            do throws(StoreFailure) {
                guard try writer.raiseLogLevel(to: level, in: transaction) else { return }
            } catch .log(.formatTooNew) {
                throw IssuanceError.conflict(
                    reason: "this version knows levels up to \(LogLevel.newest): upgrade this node first")
            } catch .log(.levelSkipped(let next)) {
                throw IssuanceError.conflict(reason: "the level is raised one by one: the next one is \(next)")
            }
            try writer.audit(AuditedAction(.logLevelRaised), by: actor, in: transaction)
        }
    }
}
