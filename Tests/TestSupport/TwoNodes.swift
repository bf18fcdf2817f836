public import CredentialStore
import Foundation
import Issuance
import Synchronization

/// Two stores of a fleet in one process. What the first one writes reaches the second only when the test says so.
public struct TwoNodes: Sendable {
    public let writer: Fixture
    public let reader: Fixture
    public let readerLog: HandedLog
    public let writerLog: HandedLog
    private let wake: @Sendable () -> Void

    public init() throws {
        let folders = [try TemporaryFolder(), try TemporaryFolder()]
        let peppers = try PepperFileOnDisk.create(folders[0]("peppers"))
        try CredentialStore.create(
            in: folders[0]("store"), vendor: .iiniit, peppers: peppers, options: Fixture.smallOptions
        ).close()
        let position = try CredentialStore.beginFleet(
            "two", in: folders[0]("store"), peppers: peppers, options: Fixture.smallOptions)
        try FileManager.default.createDirectory(
            atPath: folders[1]("store"), withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        for name in ["store/data.mdb", "peppers"] {
            try FileManager.default.copyItem(atPath: folders[0](name), toPath: folders[1](name))
        }
        (writer, reader) = (try Fixture(nodeIn: folders[0]), try Fixture(nodeIn: folders[1]))
        (writerLog, readerLog) = (HandedLog(), HandedLog())
        _ = writer.store.join(writerLog, at: position)
        wake = reader.store.join(readerLog, at: position)
    }

    /// Hands the second store everything that the first one has written.
    public func handOver() async throws {
        let entries = writerLog.takeAppended()
        readerLog.give(entries)
        wake()
        guard let last = entries.last?.position.number else { return }
        let readerLog = readerLog
        guard try await eventually({ readerLog.applied >= last }) else { throw NotApplied() }
    }

    /// From now on, whoever asks the log of the second store gets what the first one has written.
    public func connect() { readerLog.readsFrom(writerLog) }

    private struct NotApplied: Error {}
}

/// A log with one writer, whose entries a test carries to other stores.
public final class HandedLog: SharedLog {
    private struct State {
        var appended: [LogEntry] = []
        var given: [LogEntry] = []
        var applied: UInt64 = 0
        var questions: [@Sendable (Bool) -> Void] = []
        var clockOfOthers: Int64?
        var clocksAhead = 0
        var source: HandedLog?
        var isAway = false
        var proofs = 0
    }

    private let state = Mutex(State())

    /// The number of the last entry that the store has taken.
    public var applied: UInt64 { state.withLock(\.applied) }
    /// How many wait for what other nodes have acknowledged.
    public var questions: Int { state.withLock { $0.questions.count } }

    /// What the clocks of other nodes show.
    public func setClockOfOthers(_ seconds: Int64?) { state.withLock { $0.clockOfOthers = seconds } }

    /// Entries that came from a clock which is far ahead.
    public var clocksAhead: Int { state.withLock(\.clocksAhead) }

    /// How often the log was asked for a proof.
    public var proofs: Int { state.withLock(\.proofs) }

    /// Nothing is proven any more.
    public func goAway() { state.withLock { $0.isAway = true } }

    fileprivate func readsFrom(_ source: HandedLog) { state.withLock { $0.source = source } }

    /// Answers all who wait.
    public func answerQuestions(_ isCurrent: Bool) {
        for question in state.withLock({ state in
            defer { state.questions = [] }
            return state.questions
        }) { question(isCurrent) }
    }

    fileprivate func takeAppended() -> [LogEntry] {
        state.withLock { state in
            defer { state.appended = [] }
            return state.appended
        }
    }

    fileprivate func give(_ entries: [LogEntry]) { state.withLock { $0.given += entries } }

    public func arrived() -> [LogEntry] {
        state.withLock { state in
            defer { state.given = [] }
            return state.given
        }
    }

    public func append(_ entry: LogEntry) -> SharedLogOutcome {
        state.withLock { $0.appended.append(entry) }
        return .held
    }

    public func prove() -> SharedLogOutcome {
        state.withLock { state in
            state.proofs += 1
            if state.isAway { return .refused(.away) }
            guard let entries = state.source?.takeAppended(), !entries.isEmpty else { return .held }
            state.given += entries
            return .lost
        }
    }
    public func outcome() -> SharedLogOutcome { .held }

    public func applied(_ position: LogPosition, wantsConfirmation: Bool, isOwn: Bool) {
        state.withLock { $0.applied = position.number }
    }

    public func confirm(_ completion: @escaping @Sendable (SharedLogFailure?) -> Void) -> Bool {
        completion(nil)
        return true
    }

    public func catchUp(_ completion: @escaping @Sendable (Bool) -> Void) {
        state.withLock { $0.questions.append(completion) }
    }

    public func clockOfOthers() -> Int64? { state.withLock(\.clockOfOthers) }
    public func foundClockAhead() { state.withLock { $0.clocksAhead += 1 } }
    public func compared(_ comparison: UInt64, at position: LogPosition, _ digest: StoreDigest?) {}
    public func cannotApply(_ failure: StoreFailure) {}
}
