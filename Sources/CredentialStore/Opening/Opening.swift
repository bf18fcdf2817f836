public import CredentialDigest
public import CredentialModel
import LMDB
import RecordCache

/// What ``CredentialStore`` needs after a folder is opened and its peppers are verified.
struct OpenedStore {
    let directory: String
    let vendor: Vendor
    let incarnation: UInt64
    let origin: UInt64
    let published: Published
    let peppers: PepperRing
    let lookup: TagKey
    let foreignSchemes: ForeignSchemes
    let clock: TrustedClock
    let environment: Environment
    let schema: Schema
    let interning: Interning
    let lock: DirectoryLock
}

extension CredentialStore {
    /// Whether there is a store in a folder.
    public static func exists(in directory: String) -> Bool {
        Environment.exists(in: directory)
    }

    /// Creates a store in an empty or absent folder and opens it.
    /// - Throws: ``StoreFailure/storeExists(directory:)`` and whatever opening can throw.
    public static func create(
        in directory: String, vendor: Vendor, peppers: PepperFile, options: StoreOptions = StoreOptions()
    ) throws(StoreFailure) -> CredentialStore {
        if exists(in: directory) {
            // A file without tables remains if the process ended between creating it and its first commit.
            do throws(StoreFailure) {
                try open(directory, birth: nil, asked: nil, peppers: peppers, options: options).close()
                throw .storeExists(directory: directory)
            } catch .noStore {
            } catch .lmdb(.storeAbsent) {
            } catch {
                throw .storeExists(directory: directory)
            }
        }
        try naming { () throws in _ = try DurableDirectory.create(path: directory) }
        return try open(directory, birth: vendor, asked: vendor, peppers: peppers, options: options)
    }

    /// Opens an existing store for reading and writing. One process at a time.
    /// - Parameter vendor: the expected vendor; nil accepts the store's own.
    /// - Throws: ``StoreFailure`` that says what does not match and what to do about it.
    public static func open(
        in directory: String, vendor: Vendor? = nil, peppers: PepperFile, options: StoreOptions = StoreOptions()
    ) throws(StoreFailure) -> CredentialStore {
        guard exists(in: directory) else { throw .noStore(directory: directory) }
        return try open(directory, birth: nil, asked: vendor, peppers: peppers, options: options)
    }

    /// Least capacity of the id filter.
    @available(*, noasync)
    private static let idCapacityMin = 1 << 20
    /// Smallest size of a credential, with its entries in the indexes and the journal.
    private static let bytesPerCredentialMin = 160
    private static let bytesIndexedAtOnce = 4 << 20

    /// - Parameter changing: runs in the transaction that opens the store, before anything is loaded from it.
    static func open(
        _ directory: String, birth: Vendor?, asked: Vendor?, peppers: PepperFile, options: StoreOptions,
        changing: ((StoreWriter, borrowing WriteTransaction) throws -> Void)? = nil
    ) throws(StoreFailure) -> CredentialStore {
        let lock: DirectoryLock
        do {
            lock = try DirectoryLock(directory: directory)
            try FollowerLock.requireSharedNamespace(directory: directory)
        } catch {
            throw .held(error)
        }
        let environment = try naming { () throws in
            try Environment(
                directory: directory,
                options: Environment.Options(
                    mapBytes: options.mapBytes, databasesMax: Schema.tableCount, readersMax: options.readersMax,
                    readOnly: false, create: birth != nil))
        }
        let usedBytes = try naming { () throws in try environment.usage().highestBytes }
        guard
            let published = Published(
                cacheBytes: options.cacheBytes, idCapacity: max(idCapacityMin, 2 * usedBytes / bytesPerCredentialMin))
        else { throw .lmdb(.system(12)) }
        let interning = Interning(table: published.interned)
        var next: CredentialID?
        do {
            let commit = try environment.write { transaction -> OpenedStore in
                if birth == nil { try requireSchema(of: environment, in: transaction) }
                let schema = try Schema(
                    environment, lookup: peppers.lookup, create: birth != nil, in: transaction)
                let auditChain = AuditChain(key: peppers.lookup)
                let meta = MetaReader(
                    schema: schema, writer: StoreWriter(schema: schema, interning: interning, auditChain: auditChain))
                if let birth { try meta.initialize(vendor: birth, peppers: peppers, in: transaction) }
                try meta.meta.require(peppers.lookup, in: transaction)
                let vendor = try meta.meta.vendor(in: transaction)
                if let asked, asked != vendor {
                    throw StoreFailure.otherVendor(found: vendor.description, asked: asked.description)
                }
                let alive = try meta.provenPeppers(peppers, in: transaction)
                let mark = try meta.writer.number(.time, in: transaction)
                // The folder was kept, or was to be replaced when the power failed: it is valid again.
                if try meta.meta.value(.replaced, in: transaction) != nil {
                    try schema.meta.delete(MetaName.replaced.key, in: transaction)
                }
                if let changing { try meta.writer.change(in: transaction, changing) }
                try meta.load(published: published, interning: interning, in: transaction)
                published.note(try meta.schemesInUse(of: peppers.foreignSchemes, in: transaction))
                return OpenedStore(
                    directory: directory, vendor: vendor,
                    incarnation: try meta.writer.number(.incarnation, in: transaction) ?? 0,
                    origin: try meta.writer.number(.origin, in: transaction) ?? 0, published: published,
                    peppers: PepperRing(alive), lookup: peppers.lookup, foreignSchemes: peppers.foreignSchemes,
                    clock: TrustedClock(
                        mark: mark.map { UnixSeconds(Int64(clamping: $0)) }, reading: options.reading ?? .current),
                    environment: environment,
                    schema: schema, interning: interning, lock: lock)
            }
            let store = try CredentialStore(opened: commit.value, options: options)
            // A small store is scanned at once; a large one by its owner while it is served.
            if usedBytes <= bytesIndexedAtOnce { while let last = try store.indexIDs(after: next) { next = last } }
            return store
        } catch {
            try? environment.close()
            lock.release()
            if case LMDBError.notFound = error { throw .noStore(directory: directory) }
            return try naming { throw error }
        }
    }

    private static func requireSchema(
        of environment: Environment, in transaction: borrowing WriteTransaction
    ) throws {
        let found = try Schema.version(of: environment, in: transaction)
        guard found <= Schema.version else { throw StoreFailure.schemaTooNew(found: found, known: Schema.version) }
        guard found == Schema.version else { throw StoreFailure.schemaTooOld(found: found, known: Schema.version) }
    }
}
