import CredentialModel
import CredentialStore
import Listening
import Logging
import RecordCache
import ServiceLifecycle
import UnixSignals

/// Background work of the daemon: at the start, memory for the cache and the filter of ids; then the sweep, dead readers, changed
/// certificates, times of last use, and whether the store has room and is still in its place.
struct Upkeep: Service {
    let store: CredentialStore
    let identity: TLSIdentity?
    let keyWarningSeconds: Int64
    let retention: RetentionPolicy
    /// Whether the other nodes of the fleet remove what has ended, and warn of what will.
    let isReadOnly: Bool
    /// What is read again on SIGHUP, besides the certificate.
    let rereads: [Reread]
    let logger: Logger

    struct Reread: Sendable {
        /// What it is, in a sentence of the log.
        let what: String
        let body: @Sendable () async throws -> Void

        init(_ what: String, _ body: @escaping @Sendable () async throws -> Void) {
            (self.what, self.body) = (what, body)
        }
    }

    private static let populateSeconds = 1
    /// The verifiers' buffers of uses hold some ten thousand, so they are emptied more often than uses are written.
    private static let collectSeconds = 2
    private static let watchSeconds = 1
    private static let roundSeconds = 10
    /// A sweep a minute.
    private static let roundsPerSweep = 6

    func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await populateCache() }
            group.addTask { await indexIDs() }
            group.addTask { await runRounds() }
            group.addTask { await reloadOnSignal() }
            group.addTask { await collectUses() }
            group.addTask { await watchStore() }
            // The tasks end by cancellation only.
            try? await gracefulShutdown()
            group.cancelAll()
        }
        // Both planes have ended, so these are the last uses.
        await writeUses()
        try? await store.noteTime()
    }

    /// Gives the cache memory before its next level is used, so that no verification waits for it: as soon as the store has half of
    /// the records with which the level begins.
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

    /// Builds the filter of ids. Until it is complete, unknown ids are looked up in the store.
    private func indexIDs() async {
        do {
            var next: CredentialID?
            while let last = try indexPiece(after: next), !Task.isCancelled {
                next = last
                await Task.yield()
            }
        } catch {
            logger.error(
                "the filter of ids was not built; unknown ids are looked up in the store",
                metadata: ["reason": "\(error)"])
        }
    }

    // Not in `indexIDs`: the store's function must not be called from an async one.
    private func indexPiece(after id: CredentialID?) throws -> CredentialID? {
        store.published.idFilter.isComplete ? nil : try store.indexIDs(after: id)
    }

    private func collectUses() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(Self.collectSeconds))
            store.collectUses()
        }
    }

    /// Checks whether the store is where it was opened, and logs when creates stop and when they are possible again.
    private func watchStore() async {
        var reported: StoreFailure?
        while !Task.isCancelled {
            store.requireInPlace()
            let refusal = store.refusalOfCreates
            switch (reported, refusal) {
            case (nil, let refusal?):
                logger.error("nothing is issued", metadata: ["reason": "\(refusal)"])
                reported = refusal
            case (_?, nil):
                logger.notice("credentials are issued again")
                reported = nil
            default: break
            }
            try? await Task.sleep(for: .seconds(Self.watchSeconds))
        }
    }

    private func writeUses() async {
        do {
            try await store.writeUses()
        } catch StoreFailure.full, StoreFailure.diskFull {
            // Uses are dropped first when there is no room, which `watchStore` reports.
        } catch {
            logger.warning("the times of last use were not written", metadata: ["reason": "\(error)"])
        }
    }

    /// One line for all reads since the last report, since a damaged row may be read thousands of times a second.
    private func reportDamage(since known: inout UInt64) {
        let count = store.damage.count
        guard count > known, let last = store.damage.last else { return }
        logger.error(
            "reads met damaged rows and were answered with 503",
            metadata: ["count": "\(count - known)", "last": "\(last)"])
        known = count
    }

    private func runRounds() async {
        var round = 0
        var damage: UInt64 = 0
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(Self.roundSeconds))
            guard !Task.isCancelled else { return }
            reload { try $0.reloadIfChanged() }
            await writeUses()
            reportDamage(since: &damage)
            round += 1
            if round % Self.roundsPerSweep == 0 { await sweep() }
        }
    }

    private func reloadOnSignal() async {
        for await _ in await UnixSignalsSequence(trapping: .sighup) {
            reload {
                try $0.reload()
                return true
            }
            for reread in rereads {
                do {
                    try await reread.body()
                    logger.notice("\(reread.what) were read again")
                } catch {
                    let reason = (error as? CommandFailure)?.message ?? "\(error)"
                    logger.error(
                        "\(reread.what) could not be read again; the old ones stay in use",
                        metadata: ["reason": "\(reason)"])
                }
            }
        }
    }

    private func reload(_ body: (TLSIdentity) throws -> Bool) {
        guard let identity else { return }
        do {
            if try body(identity) { logger.notice("the certificate was read again") }
        } catch {
            logger.error(
                "the certificate could not be read again; the old one stays in use", metadata: ["reason": "\(error)"])
        }
    }

    private func sweep() async {
        if !isReadOnly {
            do {
                try await store.warnOfExpiry(secondsBefore: keyWarningSeconds)
            } catch {
                logger.error("the search for keys that expire soon failed", metadata: ["reason": "\(error)"])
            }
        }
        do {
            // Before the sweep: dead readers pin pages that it needs.
            let dead = try removeDeadReaders()
            if dead > 0 { logger.notice("freed the slots of dead readers", metadata: ["count": "\(dead)"]) }
        } catch {
            logger.error("the search for dead readers failed", metadata: ["reason": "\(error)"])
        }
        if !isReadOnly {
            do {
                let report = try await Sweep.run(on: store, retention: retention)
                if report.paused {
                    logger.warning("the wall clock is far ahead of the boot clock: the sweep pauses")
                }
            } catch {
                logger.error("the sweep failed", metadata: ["reason": "\(error)"])
            }
        }
        do {
            let count = try removeLogFiles()
            if count > 0 { logger.info("removed old files of the log", metadata: ["count": "\(count)"]) }
        } catch {
            logger.error("old files of the log were not removed", metadata: ["reason": "\(error)"])
        }
        store.noteFill()
    }

    // Not in `sweep`: the store's functions must not be called from an async one.
    private func removeDeadReaders() throws -> Int {
        try store.removeDeadReaders()
    }

    private func removeLogFiles() throws -> Int {
        guard let log = store.log, !store.clock.isAhead() else { return 0 }
        // Files have times of the wall clock; the store's clock does not follow it back.
        let now = min(store.clock.now(), UnixSeconds(TrustedClock.Reading.current.wall))
        return try log.removeFiles(before: now.adding(-retention.logSeconds))
    }
}
