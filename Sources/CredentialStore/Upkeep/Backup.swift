import LMDB

extension CredentialStore {
    /// Percentage of the map at which a running backup is aborted: it pins old pages, and revocations need the rest.
    private static let abortPercent = 90

    /// Writes a compacted copy of the newest snapshot to a new file while the store is in use.
    ///
    /// The copy has every write acknowledged before it began. It has no peppers: back those up separately.
    /// - Throws: ``StoreFailure/backupGaveWay`` when the map runs full meanwhile.
    @available(*, noasync)
    public func backup(toFile path: String) throws(StoreFailure) {
        var gaveWay = false
        let before = (try? environment.usage().highestBytes) ?? 0
        do {
            try environment.copyCompacted(toFile: path) { _ in
                guard let usage = try? self.environment.usage(), usage.mapBytes > 0 else { return false }
                let percent = usage.highestBytes * 100 / usage.mapBytes
                // Only growth counts: the file of a store that was once fuller does not shrink.
                let isFilling = percent >= Self.abortPercent && usage.highestBytes > before
                gaveWay = isFilling || self.headRoom.isWaiting
                return !gaveWay
            }
        } catch {
            if gaveWay { throw .backupGaveWay }
            throw .lmdb(error)
        }
    }
}
