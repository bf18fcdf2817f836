import CredentialModel
import CredentialStore
import Listening
import Logging
import RecordCache
import ServiceLifecycle
import UnixSignals

/// What has to be done now and then: memory for the cache and the filter of ids at the start, the sweep, dead readers,
/// changed certificates, and whether the store has room and is still in its place.
struct Upkeep: Service {
    let store: CredentialStore
    let identity: TLSIdentity?
    let keyWarningSeconds: Int64
    let retention: RetentionPolicy
    /// Reads the policies again, on SIGHUP; nil where there are none.
    let reloadPolicies: (@Sendable () throws -> Void)?
    let logger: Logger

    private static let certificateSeconds = 10
    private static let populateSeconds = 1
    /// Seconds between two collections of what the verifiers noted.
    private static let collectSeconds = 2
    /// Certificate rounds between two sweeps: a minute.
    private static let sweepRounds = 6

    func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await populateCache() }
            group.addTask { await indexIDs() }
            group.addTask { await keepUp() }
            group.addTask { await reloadOnSignal() }
            group.addTask { await collectUses() }
            group.addTask { await watchStore() }
            // They end by cancellation only.
            try? await gracefulShutdown()
            group.cancelAll()
        }
        // The planes are down: what they noted last.
        await writeUses()
        try? await store.noteTime()
    }

    /// Gives the cache memory before its next level is used, so that no verification waits for it: when the store has half of
    /// the records that it begins with.
    private func populateCache() async {
        let cache = store.published.cache
        var populated = -1
        while !Task.isCancelled {
            for records in [store.recordCount, store.recordCount * 2] where cache.level(for: records) > populated {
                populated = cache.level(for: records)
                var piece = 0
                while cache.populate(piece: piece, for: records), !Task.isCancelled {
                    piece += 1
                    await Task.yield()
                }
            }
            try? await Task.sleep(for: .seconds(Self.populateSeconds))
        }
    }

    /// Until it is done, unknown ids are looked up in the store.
    private func indexIDs() async {
        do {
            var next: CredentialID?
            while let last = try indexPiece(after: next), !Task.isCancelled {
                next = last
                await Task.yield()
            }
        } catch {
            logger.error("the ids were not looked through; unknown ones cost more", metadata: ["reason": "\(error)"])
        }
    }

    private func indexPiece(after id: CredentialID?) throws -> CredentialID? {
        store.published.idFilter.isComplete ? nil : try store.indexIDs(after: id)
    }

    /// The verifiers' notes have room for some ten thousands: more often than they are written.
    private func collectUses() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(Self.collectSeconds))
            store.collectUses()
        }
    }

    /// Looks every second whether the store is where it was, and tells when creates stop and when they go on.
    private func watchStore() async {
        var told: StoreFailure?
        while !Task.isCancelled {
            store.requireInPlace()
            let refusal = store.refusalOfCreates
            switch (told, refusal) {
            case (nil, let refusal?):
                logger.error("nothing is issued", metadata: ["reason": "\(refusal)"])
                told = refusal
            case (_?, nil):
                logger.notice("credentials are issued again")
                told = nil
            default: break
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private func writeUses() async {
        do {
            try await store.writeUses()
        } catch StoreFailure.full, StoreFailure.diskFull {
            // They give way; that there is no room was told.
        } catch {
            logger.warning("the times of last use were not written", metadata: ["reason": "\(error)"])
        }
    }

    /// One line for all reads since the last: a row that is damaged may be asked for thousands of times a second.
    private func reportDamage(since known: inout UInt64) {
        let count = store.damage.count
        guard count > known, let last = store.damage.last else { return }
        logger.error(
            "reads met damaged rows; what they would have decided is answered with 503",
            metadata: ["count": "\(count - known)", "last": "\(last)"])
        known = count
    }

    private func keepUp() async {
        var round = 0
        var damage: UInt64 = 0
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(Self.certificateSeconds))
            guard !Task.isCancelled else { return }
            reload { try $0.reloadIfChanged() }
            await writeUses()
            reportDamage(since: &damage)
            round += 1
            if round % Self.sweepRounds == 0 { await sweep() }
        }
    }

    private func reloadOnSignal() async {
        for await _ in await UnixSignalsSequence(trapping: .sighup) {
            reload {
                try $0.reload()
                return true
            }
            guard let reloadPolicies else { continue }
            do {
                try reloadPolicies()
                logger.notice("the policies were read anew")
            } catch {
                let reason = (error as? CommandFailure)?.message ?? "\(error)"
                logger.error(
                    "the policies were not read anew; the old ones stay in use", metadata: ["reason": "\(reason)"])
            }
        }
    }

    private func reload(_ body: (TLSIdentity) throws -> Bool) {
        guard let identity else { return }
        do {
            if try body(identity) { logger.notice("the certificate was read anew") }
        } catch {
            logger.error(
                "the certificate was not read anew; the old one stays in use", metadata: ["reason": "\(error)"])
        }
    }

    private func sweep() async {
        do {
            try await store.warnOfExpiry(secondsBefore: keyWarningSeconds)
        } catch {
            logger.error("keys near their end were not looked for", metadata: ["reason": "\(error)"])
        }
        do {
            // First: dead readers pin the pages that everything else needs.
            let dead = try removeDeadReaders()
            if dead > 0 { logger.notice("freed the places of dead readers", metadata: ["count": "\(dead)"]) }
        } catch {
            logger.error("dead readers were not looked for", metadata: ["reason": "\(error)"])
        }
        do {
            let report = try await Sweep.run(on: store, retention: retention)
            if report.paused {
                logger.warning("the wall clock is far ahead of the boot clock: the sweep pauses")
            }
        } catch {
            logger.error("the sweep failed", metadata: ["reason": "\(error)"])
        }
        store.noteFill()
    }

    private func removeDeadReaders() throws -> Int {
        try store.removeDeadReaders()
    }
}
