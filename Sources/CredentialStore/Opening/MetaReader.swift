import CredentialDigest
import CredentialModel
import LMDB
import RecordCache

/// Checks and loads what a store needs when it is opened.
struct MetaReader {
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
        try writer.setMeta(.lookupCheck, MetaTable.check(peppers.lookup), in: transaction)
        try WatermarkRow.Sum().write(meta, in: transaction)
        // Now, and not with the first withdrawal, which a full map must take as well.
        try writer.setMeta(.withdrawals, WithdrawalSlots.random(), in: transaction)
    }

    /// The peppers of a file that are in use. Those newer than any that the store knows are added to the store.
    func provenPeppers(
        _ file: PepperFile, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> PepperFile {
        let known = try meta.knownPeppers(of: file, in: transaction)
        let highest = UInt16(truncatingIfNeeded: try meta.number(.pepperHighest, in: transaction) ?? 0)
        var alive = file
        for pepper in file.peppers {
            if pepper.number > highest {
                try writer.setMeta(.pepperCheck(pepper.number), pepper.checkValue, in: transaction)
                try writer.setNumber(.pepperHighest, UInt64(pepper.number), in: transaction)
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
            try writer.setMeta(name, ForeignScheme.raw.checkValue, in: transaction)
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
        try naming { () throws in
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

/// A row of `interned`.
struct InternedText {
    let kind: InternedTable.Kind
    let number: UInt32
    let text: [UInt8]

    init?(key: RawSpan, text: RawSpan) {
        guard key.byteCount == 9, let kind = InternedTable.Kind(rawValue: Int(key.byte(at: 0))),
            let number = TableKey.lastNumber(key)
        else { return nil }
        self.kind = kind
        self.number = UInt32(truncatingIfNeeded: number)
        self.text = text.copied()
    }
}
