import Cluster
import CredentialStore
import Testing

private struct Entry: ClusterEntry {
    var position: LogPosition
    var previousHash: [UInt8]
    var batch: UInt64
    var wantsConfirmation = false

    init(after before: LogPosition, batch: UInt64) {
        position = LogPosition(
            epoch: before.epoch, number: before.number + 1, hash: [UInt8(before.number + 1), UInt8(batch)])
        previousHash = before.hash
        self.batch = batch
    }
}

private typealias Node = ClusterNode<Entry>
private typealias Action = ClusterNode<Entry>.Action

private let second: UInt64 = 1_000_000_000
private let beginning = LogPosition(epoch: 1, number: 0, hash: [0])

extension [Action] {
    fileprivate var tag: UInt64? {
        for case .send(_, let tag) in self { return tag }
        return nil
    }

    /// The tag of the renewal among what is sent.
    fileprivate var renewal: UInt64? {
        for case .send(.renew, let tag) in self { return tag }
        return nil
    }

    fileprivate var append: UInt64? {
        for case .send(.append, let tag) in self { return tag }
        return nil
    }

    fileprivate var outcome: ClusterOutcome? {
        for case .settle(let outcome) in self { return outcome }
        return nil
    }

    fileprivate var applied: [UInt64] {
        for case .apply(let entries) in self { return entries.map(\.position.number) }
        return []
    }

    /// Whether a barrier has ended, and how.
    fileprivate var passed: Bool? {
        for case .passed(let isPassed) in self { return isPassed }
        return nil
    }

    fileprivate var stopped: ClusterStop? {
        for case .stop(let reason) in self { return reason }
        return nil
    }

    fileprivate var acknowledgement: Acknowledgement? {
        for case .acknowledge(_, let acknowledgement) in self { return acknowledgement }
        return nil
    }
}

/// A protocol of messages and times: values in, values out. What it withstands as a whole is shown by deploy/proofs/fleet.
@Suite struct `A node of a fleet` {
    private let times = ClusterTimes(lease: 10 * second)
    private let one = Entry(after: beginning, batch: 1)

    private func node(pausable: Bool = false) -> Node {
        Node(node: 1, applied: beginning, times: times, isPausable: pausable)
    }

    private func page(_ entries: Entry..., first: UInt64 = 1) -> EntryPage<Entry> {
        EntryPage(first: first, entries: entries)
    }

    private func head(_ position: LogPosition, sealed: Bool = false) -> LogHead {
        LogHead(position: position, isSealed: sealed)
    }

    private func list(_ records: NodeRecord..., revision: UInt64) -> RecordList {
        var list = RecordList(revision: revision)
        for record in records { list.records[record.node] = StoredRecord(record: record, revision: revision) }
        return list
    }

    private func record(
        _ node: UInt64, _ applied: LogPosition, pausable: Bool = false, lease: UInt64 = 10 * second
    ) -> NodeRecord {
        NodeRecord(node: node, applied: applied, leaseNanoseconds: lease, isPausable: pausable)
    }

    @Test func `answers from a renewal on, until its sending plus the lease`() throws {
        var node = node()
        let tag = try #require(node.tick(at: 5 * second).renewal)
        #expect(!node.isFresh(at: 5 * second))
        #expect(node.received(.renewed(head(beginning)), tag: tag, at: 7 * second).stopped == nil)
        #expect(node.isFresh(at: 15 * second - 1) && !node.isFresh(at: 15 * second))
        // A reply to a renewal that was given up, and a repeated one, extend nothing.
        _ = node.tick(at: 8 * second)
        _ = node.received(.renewed(head(beginning)), tag: tag, at: 9 * second)
        #expect(node.leaseEnd == 15 * second)
    }

    @Test func `has one renewal under way, and tells afterwards what that did not say`() throws {
        var node = node()
        let tag = try #require(node.tick(at: second).renewal)
        _ = node.watched([one], at: second)
        #expect(node.applied(one.position, wantsConfirmation: true, at: second).renewal == nil)
        let again = node.received(.renewed(head(one.position)), tag: tag, at: 1_100_000_000)
        guard case .send(.renew(let record), _)? = again.last else { throw CancellationError() }
        #expect(record.applied == one.position)
        // One without a reply does not stop the next.
        #expect(node.tick(at: 4 * second).renewal != nil)
    }

    @Test func `answers only when its readers have what the renewal saw`() throws {
        var node = node()
        let tag = try #require(node.tick(at: second).renewal)
        let asked = node.received(.renewed(head(one.position)), tag: tag, at: 2 * second)
        #expect(!node.isFresh(at: 2 * second))
        let entries = node.received(
            .entries(head(one.position), page(one)), tag: try #require(asked.tag), at: 2 * second)
        #expect(entries.applied == [1] && !node.isFresh(at: 2 * second))
        _ = node.applied(one.position, wantsConfirmation: false, at: 3 * second)
        #expect(node.isFresh(at: 3 * second) && node.leaseEnd == 11 * second)
    }

    @Test func `gets no lease from a sealed log, and stops at lost history, another epoch and a forked log`() throws {
        var sealed = node()
        let tag = try #require(sealed.tick(at: second).renewal)
        _ = sealed.received(.renewed(head(beginning, sealed: true)), tag: tag, at: second)
        #expect(!sealed.isFresh(at: second) && sealed.stopped == nil)

        func stop(_ position: LogPosition) throws -> ClusterStop? {
            var node = Node(node: 1, applied: one.position, times: times)
            let tag = try #require(node.tick(at: second).renewal)
            return node.received(.renewed(head(position)), tag: tag, at: second).stopped
        }
        #expect(try stop(beginning) == .engineLostHistory)
        #expect(try stop(Entry(after: beginning, batch: 2).position) == .engineLostHistory)
        #expect(try stop(LogPosition(epoch: 2, number: 1, hash: one.position.hash)) == .otherEpoch)
        #expect(try stop(one.position) == nil)
    }

    @Test func `applies entries in order and once, asks for gaps, and stops at one that does not follow`() {
        var node = node()
        let two = Entry(after: one.position, batch: 2)
        let three = Entry(after: two.position, batch: 3)
        #expect(node.watched([two], at: second).applied.isEmpty)
        #expect(node.watched([one, two, one], at: second).applied == [1, 2])
        #expect(node.watched([two, three], at: second).applied == [3])
        #expect(
            node.watched([Entry(after: LogPosition(epoch: 1, number: 3, hash: [9]), batch: 4)], at: second).stopped
                == .engineLostHistory)
    }

    @Test func `wins, loses, and recognises its own entry when the reply was lost`() throws {
        var won = node()
        let tag = try #require(won.propose(one, at: second).tag)
        #expect(!won.mayPropose)
        #expect(won.received(.held(RecordList()), tag: tag, at: second).outcome == .won)

        let other = Entry(after: beginning, batch: 7)
        var lost = node()
        let lostTag = try #require(lost.propose(one, at: second).tag)
        let actions = lost.received(.moved(head(other.position), page(other)), tag: lostTag, at: second)
        #expect(actions.outcome == .lost && actions.applied == [1])

        var repeated = node()
        _ = repeated.propose(one, at: second)
        let again = try #require(repeated.tick(at: 3 * second).append)
        let own = repeated.received(.moved(head(one.position), page(one)), tag: again, at: 3 * second)
        #expect(own.outcome == .won && own.applied.isEmpty)
        // Its records are those of no reply, so a confirmation needs another transaction.
        _ = repeated.applied(one.position, wantsConfirmation: false, at: 3 * second)
        #expect(repeated.confirm(1, at: 3 * second) == nil)

        var unknown = node()
        let unknownTag = try #require(unknown.propose(one, at: second).tag)
        let far = head(LogPosition(epoch: 1, number: 9, hash: [9]))
        #expect(unknown.received(.moved(far, page(first: 9)), tag: unknownTag, at: second).stopped == .unknownOutcome)
    }

    @Test func `acknowledges everywhere when the others say so, or when no lease can be left`() throws {
        func waiting(_ others: NodeRecord...) throws -> Node {
            var node = node()
            let tag = try #require(node.propose(one, at: second).tag)
            var records = RecordList(revision: 5)
            for other in others { records.records[other.node] = StoredRecord(record: other, revision: 4) }
            _ = node.received(.held(records), tag: tag, at: 2 * second)
            _ = node.applied(one.position, wantsConfirmation: true, isOwn: true, at: 2 * second)
            return node
        }
        var alone = try waiting()
        #expect(
            alone.confirm(1, at: 2 * second)?.acknowledgement == Acknowledgement(isEverywhere: true, unconfirmed: []))

        var confirmed = try waiting(record(2, beginning), record(3, beginning))
        #expect(confirmed.confirm(1, at: 2 * second)?.acknowledgement == nil)
        var tag = try #require(
            confirmed.tick(at: 2 * second).compactMap { (action: Action) -> UInt64? in
                if case .send(.records, let tag) = action { tag } else { nil }
            }.first)
        // An older list may lack a record that is there.
        #expect(confirmed.received(.records(list(revision: 4)), tag: tag, at: 2 * second).acknowledgement == nil)
        tag = try #require(
            confirmed.tick(at: 3 * second).compactMap { (action: Action) -> UInt64? in
                if case .send(.records, let tag) = action { tag } else { nil }
            }.first)
        let all = list(record(2, one.position), revision: 6)
        #expect(confirmed.received(.records(all), tag: tag, at: 3 * second).acknowledgement?.isEverywhere == true)

        var silent = try waiting(record(2, beginning))
        _ = silent.confirm(1, at: 2 * second)
        #expect(silent.tick(at: 2 * second + times.fence - 1).acknowledgement == nil)
        #expect(silent.tick(at: 2 * second + times.fence).acknowledgement?.isEverywhere == true)

        // What others have said before the append says nothing of it; what they have said before a proof does.
        var again = try waiting(record(2, beginning))
        let proof = try #require(again.prove(at: 3 * second).tag)
        _ = again.received(.held(list(record(2, one.position), revision: 7)), tag: proof, at: 3 * second)
        #expect(again.confirm(2, at: 3 * second)?.acknowledgement?.isEverywhere == true)

        // The clock of a node that may be paused proves nothing.
        var pausable = try waiting(record(2, beginning, pausable: true))
        _ = pausable.confirm(1, at: 2 * second)
        let end = pausable.tick(at: 2 * second + times.fence).acknowledgement
        #expect(end == Acknowledgement(isEverywhere: false, unconfirmed: [2]))
        // Nor does a lease that no node may have: whatever wrote the record does not keep to the rules.
        for lease in [ClusterTimes.longestLease + 1, UInt64.max - second, UInt64.max] {
            var unruly = try waiting(record(2, beginning, lease: lease))
            _ = unruly.confirm(1, at: 2 * second)
            let end = unruly.tick(at: 2 * second + times.fence).acknowledgement
            #expect(end == Acknowledgement(isEverywhere: false, unconfirmed: [2]))
        }
        // A longer one than its own is waited for.
        var long = try waiting(record(2, beginning, lease: ClusterTimes.longestLease))
        let fence = ClusterTimes(lease: ClusterTimes.longestLease).fence
        _ = long.confirm(1, at: 2 * second)
        #expect(long.tick(at: 2 * second + fence - 1).acknowledgement == nil)
        #expect(long.tick(at: 2 * second + fence).acknowledgement?.isEverywhere == true)
    }

    @Test func `removes a record only when it has seen it unchanged for longer than a lease`() throws {
        func removes(_ other: NodeRecord, after nanoseconds: UInt64) throws -> Bool {
            var node = node()
            func see(_ at: UInt64) throws -> [Action] {
                let tag = try #require(
                    node.tick(at: at).compactMap { (action: Action) -> UInt64? in
                        if case .send(.records, let tag) = action { tag } else { nil }
                    }.first)
                return node.received(.records(list(other, revision: 3)), tag: tag, at: at)
            }
            _ = try see(second)
            for case .send(.removeRecord(2, revision: 3), _) in try see(second + nanoseconds) { return true }
            return false
        }
        #expect(try !removes(record(2, beginning), after: times.removal - 1))
        #expect(try removes(record(2, beginning), after: times.removal))
        #expect(try !removes(record(2, beginning, pausable: true), after: 100 * times.removal))
        #expect(try !removes(record(2, beginning, lease: .max), after: 100 * times.removal))
    }

    @Test func `confirms at once, and in a storm of revocations only so often`() throws {
        var node = node()
        let first = try #require(node.tick(at: second).renewal)
        _ = node.received(.renewed(head(beginning)), tag: first, at: second)
        let millisecond = second / 1_000
        #expect(node.watched([one], at: second + 50 * millisecond).applied == [1])
        let confirmed = node.applied(one.position, wantsConfirmation: true, at: second + 50 * millisecond)
        let tag = try #require(confirmed.renewal)
        _ = node.received(.renewed(head(one.position)), tag: tag, at: second + 51 * millisecond)
        let two = Entry(after: one.position, batch: 2)
        _ = node.watched([two], at: second + 51 * millisecond)
        #expect(node.applied(two.position, wantsConfirmation: true, at: second + 51 * millisecond).renewal == nil)
        #expect(node.isWaiting)
        #expect(node.tick(at: second + 52 * millisecond).renewal != nil)
    }

    // MARK: The barrier before "unknown"

    @Test func `passes a barrier when its store has what the log had`() throws {
        var node = node()
        let tag = try #require(node.passBarrier(at: 0).tag)
        // Only one at a time.
        #expect(node.passBarrier(at: 0).passed == false)
        #expect(node.received(.held(list(revision: 1)), tag: tag, at: 1).passed == true)

        let second = try #require(node.passBarrier(at: 2).tag)
        let reply = node.received(.moved(head(one.position), page(one)), tag: second, at: 3)
        #expect(reply.applied == [1] && reply.passed == nil)
        #expect(node.applied(one.position, wantsConfirmation: false, at: 4).passed == true)
    }

    @Test func `asks for what the reply to a barrier does not have`() throws {
        var node = node()
        let tag = try #require(node.passBarrier(at: 0).tag)
        let two = Entry(after: one.position, batch: 2)
        let reply = node.received(.moved(head(two.position), page(one)), tag: tag, at: 1)
        #expect(reply.applied == [1] && reply.tag != nil && reply.passed == nil)
        #expect(node.applied(one.position, wantsConfirmation: false, at: 2).passed == nil)
        #expect(node.watched([two], at: 3).applied == [2])
        #expect(node.applied(two.position, wantsConfirmation: false, at: 4).passed == true)
    }

    @Test func `does not pass a barrier that has no reply, or comes too late`() throws {
        var node = node()
        _ = node.passBarrier(at: 0)
        #expect(node.tick(at: second / 4).passed == nil)
        #expect(node.tick(at: second / 2).passed == false)
        let tag = try #require(node.passBarrier(at: second).tag)
        #expect(node.unanswered(tag, at: second + 1).passed == false)
        // A late reply to it says nothing.
        #expect(node.received(.held(list(revision: 1)), tag: tag, at: second + 2).passed == nil)
    }

    @Test func `passes no barrier at a sealed log, behind which another may have begun`() throws {
        var node = node()
        let tag = try #require(node.passBarrier(at: 0).tag)
        let actions = node.received(.moved(head(beginning, sealed: true), page()), tag: tag, at: 1)
        #expect(actions.passed == false && actions.stopped == nil)
    }

    @Test func `stops at a barrier that shows a log which has lost entries`() throws {
        var node = node()
        #expect(node.watched([one], at: 0).applied == [1])
        let tag = try #require(node.passBarrier(at: 1).tag)
        let actions = node.received(.moved(head(beginning), page()), tag: tag, at: 2)
        #expect(actions.stopped == .engineLostHistory && actions.passed == false)
    }

    @Test func `answers nothing before the log knows of its clock`() throws {
        var node = node(pausable: true)
        let tag = try #require(node.tick(at: 0).renewal)
        _ = node.received(.renewed(head(beginning)), tag: tag, at: 1)
        #expect(!node.isFresh(at: 2))
        node.announced()
        let again = try #require(node.tick(at: 3 * second).renewal)
        _ = node.received(.renewed(head(beginning)), tag: again, at: 3 * second + 1)
        #expect(node.isFresh(at: 3 * second + 2))
    }
}
