import CredentialDigest
import CredentialModel
import LMDB
import RecordCache

/// What is checked and loaded when a store is opened.
struct MetaReader {
    let schema: Schema
    let writer: StoreWriter

    /// Writes what a new store begins with.
    func initialize(
        vendor: Vendor, peppers: PepperFile, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        try writer.setNumber(.schema, Schema.version, in: transaction)
        try writer.setNumber(.vendor, UInt64(vendor.rawValue), in: transaction)
        let incarnation = UInt64.random(in: 1...UInt64.max)
        try writer.setNumber(.incarnation, incarnation, in: transaction)
        try writer.setNumber(.origin, incarnation, in: transaction)
        try writer.put(schema.meta, MetaName.lookupCheck.key, Self.check(peppers.lookup), in: transaction)
    }

    func vendor(asked: Vendor?, in transaction: borrowing WriteTransaction) throws(StoreFailure) -> Vendor {
        let letters = UInt16(truncatingIfNeeded: try writer.number(.vendor, in: transaction) ?? 0)
        let text = [UInt8(truncatingIfNeeded: letters), UInt8(truncatingIfNeeded: letters >> 8)]
        guard let vendor = Vendor(String(decoding: text, as: UTF8.self)) else { throw .corrupt(table: "meta") }
        if let asked, asked != vendor { throw .otherVendor(found: vendor.description, asked: asked.description) }
        return vendor
    }

    /// Holds the file against the check values that the store keeps, and takes up a pepper newer than all it knows.
    ///
    /// A pepper that the store no longer keeps a value of is retired: it is left out, though it may still be in the file.
    func provenPeppers(
        _ file: PepperFile, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> PepperFile {
        let lookupCheck = try value(MetaName.lookupCheck.key, in: transaction)
        guard lookupCheck == Self.check(file.lookup) else { throw .lookupSecretDiffers }
        let highest = UInt16(truncatingIfNeeded: try writer.number(.pepperHighest, in: transaction) ?? 0)
        for number in 1...max(highest, 1) {
            guard let known = try value(MetaName.pepperCheck(number).key, in: transaction) else { continue }
            guard let pepper = file.peppers.first(where: { $0.number == number }) else {
                throw .pepperMissing(number: number)
            }
            guard pepper.checkValue == known else { throw .pepperDiffers(number: number) }
        }
        var alive = file
        for pepper in file.peppers {
            if pepper.number > highest {
                try writer.put(schema.meta, MetaName.pepperCheck(pepper.number).key, pepper.checkValue, in: transaction)
                try writer.setNumber(.pepperHighest, UInt64(pepper.number), in: transaction)
            } else if try value(MetaName.pepperCheck(pepper.number).key, in: transaction) == nil {
                alive = alive.removingPepper(pepper.number)
            }
        }
        guard !alive.peppers.isEmpty else { throw .pepperMissing(number: highest) }
        return alive
    }

    /// Loads what readers keep in memory: interned texts, clients and watermarks. Credentials are not touched.
    func load(
        published: Published, interning: Interning, in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) {
        var damaged = false
        published.changes.begin(at: try writer.number(.journalNumber, in: transaction) ?? 0)
        for kind in InternedTable.Kind.allCases {
            let highest = try writer.number(.internedHighest(kind), in: transaction) ?? 0
            interning.load(highest: UInt32(truncatingIfNeeded: highest), of: kind)
        }
        try naming { () throws in
            try transaction.scan(schema.interned, from: nil) { key, text in
                guard let kind = InternedTable.Kind(rawValue: Int(key.byte(at: 0))),
                    let number = TableKey.lastNumber(key)
                else {
                    damaged = true
                    return .next
                }
                interning.load(kind, UInt32(truncatingIfNeeded: number), text.copied())
                return .next
            }
            try transaction.scan(schema.clients, from: 0) { (key: UInt64, row: RawSpan) in
                if let client = ClientDefinition(row: row, number: UInt32(truncatingIfNeeded: key)) {
                    published.clients.publish(client)
                } else {
                    damaged = true
                }
                return .next
            }
            try transaction.scan(schema.watermarks, from: nil) { key, row in
                if let subject = WatermarkRow.subject(key), let watermark = WatermarkRow.watermark(row) {
                    published.watermarks.raise(subject, to: watermark)
                } else {
                    damaged = true
                }
                return .next
            }
        }
        if damaged { throw .corrupt(table: "interned, clients or watermarks") }
    }

    func value(
        _ key: [UInt8], in transaction: borrowing WriteTransaction
    ) throws(StoreFailure) -> [UInt8]? {
        try naming { () throws in try transaction.get(schema.meta, key: key.octets) { $0.copied() } }
    }

    private static func check(_ lookup: TagKey) -> [UInt8] {
        lookup.authenticationCode(of: Array("countersign lookup check".utf8).octets).bytes
    }
}
