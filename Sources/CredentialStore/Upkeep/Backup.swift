import LMDB

extension CredentialStore {
    /// Share of the map at which a running backup gives up: it pins old pages, and revocations need the rest.
    private static let abortPercent = 90

    /// Writes a compacted copy of the newest snapshot to a new file while the store is in use.
    ///
    /// The copy holds every acknowledged write up to its beginning. It holds no pepper: keep those apart.
    /// - Throws: ``StoreFailure/backupGaveWay`` when the map runs full meanwhile.
    @available(*, noasync)
    public func backup(toFile path: String) throws(StoreFailure) {
        var gaveWay = false
        let before = (try? environment.usage().highestBytes) ?? 0
        do {
            try environment.copyCompacted(toFile: path) { _ in
                guard let usage = try? self.environment.usage(), usage.mapBytes > 0 else { return false }
                let percent = usage.highestBytes * 100 / usage.mapBytes
                // Only what has been used since counts: the file of a store that was fuller once does not shrink.
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
