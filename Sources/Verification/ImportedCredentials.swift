import CredentialDigest
import CredentialModel
import CredentialStore
import RecordCache

// Imported credentials have no id in their text, so nothing of them can be looked up before an alias is found: the
// store is read for each of them, although their records are cached. They are always API keys.

extension Verifier {
    /// Verifies credentials of other systems: found through the alias of the imported form, then treated like native
    /// ones.
    ///
    /// Tries all schemes of which the store has credentials, since one key may have been imported in two forms, which a
    /// hash does not reveal. Such a key is active only while both are: revoking either revokes it. The records are
    /// judged from the last scheme to the first, and the answer has the first scheme's record.
    func verifyForeign(
        _ presented: RawSpan, at now: UnixSeconds, into record: inout CredentialRecord
    ) throws(StoreFailure) -> InactiveReason? {
        guard CredentialFormat.isImportable(presented) else { return .malformed }
        let used = published.foreignSchemes
        if used.isEmpty { return .malformed }
        var isKnown = false
        for scheme in foreignSchemes.all.reversed() where used.contains(scheme) {
            let form = ForeignSchemes.form(of: presented, by: scheme)
            let alias = foreignSchemes.alias(of: form.octets, by: scheme)
            guard let id = try reader.alias(alias.octets) else { continue }
            if let reason = try verifyImported(form.octets, id, at: now, into: &record) { return reason }
            isKnown = true
        }
        return isKnown ? nil : try verdictOnUnheardOf(.malformed)
    }

    /// Decides on an imported credential whose alias led to an id.
    /// - Parameter form: the imported form: the key itself, or its hash.
    private func verifyImported(
        _ form: RawSpan, _ id: CredentialID, at now: UnixSeconds, into record: inout CredentialRecord
    ) throws(StoreFailure) -> InactiveReason? {
        let pepper = peppers.newest
        let newest = NewestTag(
            tag: peppers.tag(ofImported: form, kind: .apiKey, id: id, at: pepper), pepper: pepper)
        var copy = cache.lookUp(id, into: &record, touch: true)
        // Repeats if a pepper was retired meanwhile: then a copy is older than the row, and a row that was read may be,
        // too.
        for _ in 0..<3 {
            var stamp: UInt64?
            let slot = copy
            if slot == nil {
                guard case .found(let read) = try read(id, .apiKey, at: now, into: &record) else {
                    return try verdictOnUnheardOf(.unknown)
                }
                stamp = read
            }
            copy = nil
            var tag = newest.tag
            if record.pepper != pepper.number {
                guard let older = peppers.place(of: record.pepper) else { continue }
                tag = peppers.tag(ofImported: form, kind: .apiKey, id: id, at: older)
            }
            guard ConstantTime.equal(tag, record.tag) else { return .unknown }
            if let stamp { cache.fill(record, stamp: stamp) }
            return decide(&record, in: slot, newest: newest, at: now)
        }
        return try verdictWithoutPepper(on: &record)
    }
}
