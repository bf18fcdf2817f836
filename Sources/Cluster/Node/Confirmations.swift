import CredentialStore

// Why waiting for these nodes, and for so long, is enough: see the claim in ClusterNode.swift.

/// Who waits until every node has something, or cannot answer any more; and what is known of the nodes' records.
struct Confirmations: Sendable {
    private struct Wait {
        let ticket: UInt64
        let position: LogPosition
        /// Nodes that have not confirmed yet, and whether their clock proves anything.
        var missing: [UInt64: Bool]
        /// Of the list with which it began.
        let revision: UInt64
        let end: UInt64
    }

    private var waits: [Wait] = []
    /// When each record was first seen as it is.
    private var seen: [UInt64: (revision: UInt64, since: UInt64)] = [:]

    var isEmpty: Bool { waits.isEmpty }

    /// - Parameters:
    ///   - position: what every node must have.
    ///   - list: read by a transaction that was ordered behind it; its reply came at `time`.
    mutating func begin(
        _ ticket: UInt64, of position: LogPosition, _ list: RecordList, readAt time: UInt64, by node: UInt64,
        _ times: ClusterTimes
    ) {
        var missing: [UInt64: Bool] = [:]
        var end = time + times.fence
        for (other, stored) in list.records where other != node {
            let theirs = stored.record.applied
            // It said so before, for an earlier caller.
            if theirs.epoch == position.epoch, theirs.number > position.number || theirs == position { continue }
            missing[other] = stored.record.endsWithTime
            if stored.record.endsWithTime { end = max(end, time + times.fence(of: stored.record)) }
        }
        waits.append(Wait(ticket: ticket, position: position, missing: missing, revision: list.revision, end: end))
    }

    /// Those for whom nobody is missing any more, or for whom no lease can be left.
    mutating func takeEnded(at now: UInt64) -> [(ticket: UInt64, Acknowledgement)] {
        let ended = waits.filter { $0.missing.isEmpty || now >= $0.end }.map { wait in
            let unconfirmed = Set(wait.missing.filter { !$0.value }.keys)
            return (
                ticket: wait.ticket, Acknowledgement(isEverywhere: unconfirmed.isEmpty, unconfirmed: unconfirmed)
            )
        }
        waits.removeAll { $0.missing.isEmpty || now >= $0.end }
        return ended
    }

    /// - Returns: false if a node has another entry where this one has its own: the log is forked.
    mutating func learn(_ list: RecordList) -> Bool {
        for index in waits.indices {
            // An older list may lack a record that is there.
            guard list.revision >= waits[index].revision else { continue }
            for other in waits[index].missing.keys {
                guard let stored = list.records[other] else {
                    // Removed: its lease was over.
                    waits[index].missing[other] = nil
                    continue
                }
                let (theirs, ours) = (stored.record.applied, waits[index].position)
                guard theirs.epoch == ours.epoch, theirs.number >= ours.number else { continue }
                if theirs.number == ours.number, theirs.hash != ours.hash { return false }
                waits[index].missing[other] = nil
            }
        }
        return true
    }

    /// Records that have not changed for longer than a lease can last, with their revisions.
    mutating func gone(
        _ list: RecordList, at now: UInt64, except node: UInt64, _ times: ClusterTimes
    ) -> [(node: UInt64, revision: UInt64)] {
        var still: [UInt64: (revision: UInt64, since: UInt64)] = [:]
        var gone: [(node: UInt64, revision: UInt64)] = []
        // In one order, so that the same inputs give the same actions.
        for (other, stored) in list.records.sorted(by: { $0.key < $1.key }) where other != node {
            let before = seen[other]
            let since = before?.revision == stored.revision ? before?.since ?? now : now
            still[other] = (stored.revision, since)
            // A node whose clock may have stood still is removed by people only.
            guard stored.record.endsWithTime else { continue }
            if now >= since + times.fence(of: stored.record) - times.fence + times.removal {
                gone.append((other, stored.revision))
            }
        }
        seen = still
        return gone
    }
}

extension ClusterTimes {
    /// After this time, no lease can be left that a node had when it wrote this record, if it ends with time.
    fileprivate func fence(of record: NodeRecord) -> UInt64 {
        record.leaseNanoseconds <= lease
            ? fence : ClusterTimes(lease: record.leaseNanoseconds, margin: margin).fence
    }
}
