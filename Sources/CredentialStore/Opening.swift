public import CredentialDigest
public import CredentialModel
import LMDB
import RecordCache

/// Options for opening a store.
public struct StoreOptions: Sendable {
    /// Bytes of address space for the data; the file grows up to this size. LMDB's map cannot grow while it is in use.
    public var mapBytes: Int
    /// Bytes of memory for copies of records.
    public var cacheBytes: Int
    /// Most simultaneous readers, including some for tools.
    public var readersMax: Int
    /// The folder of the log that gets every change before it is committed; nil for a store without one.
    public var logDirectory: String?
    /// Whether a store that has a log may be opened without it, which ends the log with the next change.
    public var mayLeaveLog = true
    /// The fleet that the store belongs to; nil for a store of its own.
    public var fleet: FleetOptions?
    /// Whether other nodes write the same journal: a client may come from one of them with a number that this node does
    /// not have yet.
    public var sharesJournal = false
    /// The machine's clocks at opening; nil for the real ones. For tests with clocks that were set.
    var reading: TrustedClock.Reading?
    var log = LogOptions()
    /// Receives every row that changes. For tests that compare what operations write.
    var recorder: RowRecorder?
    /// Called once, when a commit failed with unknown outcome or the store's path no longer leads to the open files.
    public var onFatal: @Sendable (StoreFailure) -> Void

    public init(
        mapBytes: Int = 16 << 30, cacheBytes: Int = 64 << 20, readersMax: Int = 256, logDirectory: String? = nil,
        onFatal: @escaping @Sendable (StoreFailure) -> Void = { _ in }
    ) {
        self.mapBytes = mapBytes
        self.cacheBytes = cacheBytes
        self.readersMax = readersMax
        self.logDirectory = logDirectory
        self.onFatal = onFatal
    }
}

/// How a store is opened that shares its log with other nodes.
public struct FleetOptions: Sendable {
    public var name: String
    /// The pepper file, which is read again when another node begins to use a new pepper.
    public var pepperPath: String
    /// Until when the store may answer.
    public var freshness: Freshness
    /// Whether nothing is written to the log here.
    public var isReadOnly: Bool

    public init(
        name: String, pepperPath: String, freshness: Freshness = Freshness(), isReadOnly: Bool = false
    ) {
        self.isReadOnly = isReadOnly
        self.name = name
        self.pepperPath = pepperPath
        self.freshness = freshness
    }
}

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
    let log: StoreLog?
    let leavesLog: Bool
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
                try open(directory, creating: nil, expected: nil, peppers: peppers, options: options).close()
                throw .storeExists(directory: directory)
            } catch .noStore {
            } catch .lmdb(.storeAbsent) {
            } catch {
                throw .storeExists(directory: directory)
            }
        }
        try convertingErrors { () throws in _ = try DurableDirectory.create(path: directory) }
        return try open(directory, creating: vendor, expected: vendor, peppers: peppers, options: options)
    }

    /// Opens an existing store for reading and writing. One process at a time.
    /// - Parameter vendor: the expected vendor; nil accepts the store's own.
    /// - Throws: ``StoreFailure`` that says what does not match and what to do about it.
    public static func open(
        in directory: String, vendor: Vendor? = nil, peppers: PepperFile, options: StoreOptions = StoreOptions()
    ) throws(StoreFailure) -> CredentialStore {
        guard exists(in: directory) else { throw .noStore(directory: directory) }
        return try open(directory, creating: nil, expected: vendor, peppers: peppers, options: options)
    }

    /// Least capacity of the id filter.
    @available(*, noasync)
    private static let idCapacityMin = 1 << 20
    /// Smallest size of a credential, with its entries in the indexes and the journal.
    private static let bytesPerCredentialMin = 160
    private static let bytesIndexedAtOnce = 4 << 20

    /// - Parameters:
    ///   - newVendor: creates a store for this vendor; nil opens an existing one.
    ///   - changing: runs in the transaction that opens the store, before anything is loaded from it.
    static func open(
        _ directory: String, creating newVendor: Vendor?, expected: Vendor?, peppers: PepperFile, options: StoreOptions,
        changing: ((StoreWriter, borrowing WriteTransaction) throws -> Void)? = nil
    ) throws(StoreFailure) -> CredentialStore {
        let lock: DirectoryLock
        do {
            lock = try DirectoryLock(directory: directory)
            try FollowerLock.requireSharedNamespace(directory: directory)
        } catch {
            throw .held(error)
        }
        let environment = try convertingErrors { () throws in
            try Environment(
                directory: directory,
                options: Environment.Options(
                    mapBytes: options.mapBytes, databasesMax: Schema.tableCount, readersMax: options.readersMax,
                    readOnly: false, create: newVendor != nil, recorder: options.recorder))
        }
        let usedBytes = try convertingErrors { () throws in try environment.usage().highestBytes }
        guard
            let published = Published(
                cacheBytes: options.cacheBytes, idCapacity: max(idCapacityMin, 2 * usedBytes / bytesPerCredentialMin))
        else { throw .lmdb(.system(12)) }
        let interning = Interning(table: published.interned)
        var next: CredentialID?
        var openedLog: OpenedLog?
        do {
            if let path = options.logDirectory {
                // What is made anew goes on with nothing. For a store that has a log, a folder that is missing is a mistake:
                // its disk may not be mounted.
                let replay = try newVendor == nil && changing == nil ? Replay(environment, peppers.lookup) : nil
                var opened = try OpenedLog(in: path, mayCreate: replay == nil)
                openedLog = opened
                if let replay { try opened.catchUp(with: replay) }
                openedLog = opened
            }
            let commit = try environment.write { transaction -> OpenedStore in
                if newVendor == nil { try requireSchema(of: environment, in: transaction) }
                let schema = try Schema(
                    environment, lookup: peppers.lookup, create: newVendor != nil, in: transaction)
                let auditChain = AuditChain(key: peppers.lookup)
                let meta = MetaReader(
                    schema: schema, writer: StoreWriter(schema: schema, interning: interning, auditChain: auditChain))
                if let newVendor { try meta.initialize(vendor: newVendor, peppers: peppers, in: transaction) }
                try meta.meta.require(peppers.lookup, in: transaction)
                try meta.meta.requireKnownLevel(in: transaction)
                let vendor = try meta.meta.vendor(in: transaction)
                if let expected, expected != vendor {
                    throw StoreFailure.otherVendor(found: vendor.description, expected: expected.description)
                }
                let origin = try meta.writer.number(.origin, in: transaction) ?? 0
                try meta.requireFleet(options.fleet?.name, mayLeave: changing != nil, in: transaction)
                let leavesLog =
                    try options.logDirectory == nil && options.fleet == nil
                    && meta.writer.logPosition(in: transaction) != nil
                guard !leavesLog || options.mayLeaveLog else { throw StoreFailure.log(.needed) }
                let mark = try meta.writer.number(.time, in: transaction)
                try meta.begin(records: openedLog != nil, in: transaction)
                let log = try openedLog.map { opened in
                    try StoreLog.begin(
                        opened, for: meta.writer, origin: origin, lookup: peppers.lookup, mustBegin: changing != nil,
                        options: options.log, in: transaction)
                }
                // A store of a fleet is changed only through the fleet's log.
                let alive =
                    try options.fleet == nil
                    ? meta.verifiedPeppers(peppers, in: transaction)
                    : meta.meta.knownPeppers(of: peppers, in: transaction)
                // The folder was kept, or was to be replaced when the power failed: it is valid again.
                try meta.forgetReplacement(in: transaction)
                try changing?(meta.writer, transaction)
                let schemes = try meta.schemesInUse(of: peppers.foreignSchemes, in: transaction)
                try meta.end(log, in: transaction)
                try meta.load(published: published, interning: interning, in: transaction)
                published.note(schemes)
                return OpenedStore(
                    directory: directory, vendor: vendor,
                    incarnation: try meta.writer.number(.incarnation, in: transaction) ?? 0,
                    origin: origin, published: published,
                    peppers: PepperRing(alive), lookup: peppers.lookup, foreignSchemes: peppers.foreignSchemes,
                    clock: TrustedClock(
                        mark: mark.map { UnixSeconds(Int64(clamping: $0)) }, reading: options.reading ?? .current),
                    environment: environment,
                    schema: schema, interning: interning, log: log, leavesLog: leavesLog, lock: lock)
            }
            commit.value.log?.committed()
            let store = try CredentialStore(opened: commit.value, options: options)
            // A small store is scanned at once; a large one by its owner while it is served.
            if usedBytes <= bytesIndexedAtOnce { while let last = try store.indexIDs(after: next) { next = last } }
            return store
        } catch {
            try? environment.close()
            openedLog?.lock.release()
            lock.release()
            if case LMDBError.notFound = error { throw .noStore(directory: directory) }
            return try convertingErrors { throw error }
        }
    }

    static func requireSchema(
        of environment: Environment, in transaction: borrowing WriteTransaction
    ) throws {
        let found = try Schema.version(of: environment, in: transaction)
        guard found <= Schema.version else { throw StoreFailure.schemaTooNew(found: found, known: Schema.version) }
        guard found == Schema.version else { throw StoreFailure.schemaTooOld(found: found, known: Schema.version) }
    }
}

/// Checks and loads what a store needs when it is opened.
private struct MetaReader {
    let schema: Schema
    let writer: StoreWriter
    let meta: MetaTable

    init(schema: Schema, writer: StoreWriter) {
        self.schema = schema
        self.writer = writer
        meta = MetaTable(schema)
    }

    /// Writes the initial contents of a new store.
    func initialize(
        vendor: Vendor, peppers: PepperFile, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        try writer.setNumber(.schema, Schema.version, in: transaction)
        try writer.setNumber(.vendor, UInt64(vendor.rawValue), in: transaction)
        let incarnation = UInt64.random(in: 1...UInt64.max)
        try writer.setNumber(.incarnation, incarnation, in: transaction)
        try writer.setNumber(.origin, incarnation, in: transaction)
        try writer.setNumber(.time, UInt64(clamping: TrustedClock.Reading.current.wall), in: transaction)
        try meta.put(.lookupCheck, MetaTable.check(peppers.lookup), in: transaction)
        try WatermarkRow.Sum().write(meta, in: transaction)
        // Now, and not with the first withdrawal, which a full map must take as well.
        try meta.put(.withdrawals, WithdrawalSlots.random(), in: transaction)
    }

    /// Begins the changes of an opening.
    /// - Parameter records: whether they go into the log.
    func begin(records: Bool, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        // Not before what the data knows: a revocation must not seem to be older than the backup that it is applied to.
        let known = try writer.number(.time, in: transaction) ?? 0
        let now = max(TrustedClock.Reading.current.wall, Int64(clamping: known))
        try writer.begin(now: UnixSeconds(now), records: records, in: transaction)
    }

    /// - Parameter mayLeave: the store is made anew from something else, and leaves its fleet.
    func requireFleet(
        _ name: String?, mayLeave: Bool, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        let own = try meta.value(.fleet, in: transaction).map { String(decoding: $0, as: UTF8.self) }
        if mayLeave, own != nil { return try writer.setFleet(nil, in: transaction) }
        guard own != name else { return }
        guard let name else { throw .shared(.belongsToFleet(name: own ?? "")) }
        throw .shared(.notOfFleet(name: name, other: own))
    }

    func end(_ log: StoreLog?, in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        try writer.end(in: transaction)
        if let log { try log.append(writer, in: transaction) }
    }

    /// Deletes the mark that another store replaces this one.
    func forgetReplacement(in transaction: borrowing WriteTransaction) throws(StoreFailure) {
        guard try meta.value(.replaced, in: transaction) != nil else { return }
        try writer.changeLocally(in: transaction) { () throws(StoreFailure) in
            try meta.set(MetaName.replaced.key, nil, in: transaction)
        }
    }

    /// The peppers of a file that are in use. Those newer than any that the store knows are added to the store.
    func verifiedPeppers(
        _ file: PepperFile, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> PepperFile {
        let known = try meta.knownPeppers(of: file, in: transaction)
        let highest = UInt16(truncatingIfNeeded: try meta.number(.pepperHighest, in: transaction) ?? 0)
        var alive = file
        for pepper in file.peppers {
            if pepper.number > highest {
                try writer.notePepper(pepper, in: transaction)
            } else if !known.peppers.contains(where: { $0.number == pepper.number }) {
                alive = alive.removingPepper(pepper.number)
            }
        }
        guard !alive.peppers.isEmpty else { throw .pepperMissing(number: highest) }
        return alive
    }

    /// The schemes by which credentials were imported. A store older than these records gets the only one of its time.
    func schemesInUse(
        of known: ForeignSchemes, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> ForeignSchemeSet {
        let used = try meta.schemesInUse(of: known, in: transaction)
        if used.contains(.raw), try meta.value(.foreignScheme(ForeignScheme.raw.name), in: transaction) == nil {
            let name = MetaName.foreignScheme(ForeignScheme.raw.name)
            try writer.perform(.meta(name, ForeignScheme.raw.checkValue), in: transaction)
        }
        return used
    }

    /// Loads what readers keep in memory: interned texts, clients and watermarks, but no credentials.
    func load(
        published: Published, interning: Interning, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        published.changes.begin(at: try writer.number(.journalNumber, in: transaction) ?? 0)
        for kind in InternedTable.Kind.allCases {
            let highest = try writer.number(.internedHighest(kind), in: transaction) ?? 0
            interning.load(highest: UInt32(truncatingIfNeeded: highest), of: kind)
        }
        try convertingErrors { () throws in
            try schema.interned.scan(from: nil, in: transaction, reading: { InternedText(key: $0, text: $1) }) { row in
                interning.load(row.kind, row.number, row.text)
                return .next
            }
            try schema.clients.scan(from: 0, in: transaction, reading: { ClientDefinition(key: $0, row: $1) }) {
                _, client in
                published.clients.publish(client)
                return .next
            }
            try WatermarkRow.readAll(schema, in: transaction) { published.watermarks.raise($0, to: $1) }
        }
    }
}

extension PepperFile {
    /// Reads and checks a pepper file: no access for others, no group write, well-formed. Follows symbolic links.
    /// - Throws: ``StoreFailure/pepperFile(reason:)`` that says what is wrong with it.
    public static func read(path: String) throws(StoreFailure) -> PepperFile {
        do {
            return try PepperFile(parsing: SecretFile.read(path: path, bytesMax: bytesMax))
        } catch let fault as Fault {
            throw .pepperFile(reason: "\(path): \(fault.description)")
        } catch let error as FileError {
            throw .pepperFile(reason: error.description)
        } catch {
            throw .unexpected(String(describing: type(of: error)))
        }
    }
}

extension CredentialStore {
    /// Rows that one piece of the scan examines.
    private static let rowsPerPiece = 50_000

    /// Adds ids after `id` to the filter that recognises unknown ids, piece by piece, so that no snapshot is held for
    /// long. See ``IDFilter``.
    /// - Returns: where to continue; nil when the filter is complete.
    @available(*, noasync)
    public func indexIDs(after id: CredentialID?) throws(StoreFailure) -> CredentialID? {
        let idFilter = published.idFilter
        guard id?.rawValue != UInt64.max else {
            idFilter.becomeComplete()
            return nil
        }
        let last = try reading { transaction -> CredentialID? in
            // A piece of each table; both continue after the lower of the two ends.
            var next: UInt64?
            for table in [schema.credentials, schema.tokens] {
                var count = 0
                try transaction.scan(table.database, from: id.map { $0.rawValue + 1 } ?? 0) {
                    (key: UInt64, _: RawSpan) in
                    guard count < Self.rowsPerPiece else { return .stop }
                    idFilter.insert(CredentialID(rawValue: key))
                    count += 1
                    if count == Self.rowsPerPiece { next = min(next ?? .max, key) }
                    return .next
                }
            }
            return next.map(CredentialID.init(rawValue:))
        }
        if last == nil { idFilter.becomeComplete() }
        return last
    }
}
