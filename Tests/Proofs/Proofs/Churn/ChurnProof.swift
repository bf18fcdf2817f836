import CredentialDigest
import CredentialModel
import CredentialStore
import Foundation
import Issuance
import ProofSupport
import RecordCache

// A store that keeps issuing access tokens must reach a steady size and stay there, and commits must not become slower.
// With the real clock this would take hours, so the clock is a parameter: tokens are issued as for client credentials,
// at a fixed rate of simulated time, `perCommit` of them in each commit, and the sweep runs at regular intervals of
// that time.
//
// Two figures are checked. The time of a commit: the last tenth of the commits against the first tenth after the store
// has reached its size. And the bytes of a token: the size of the file for each token in it, including the journal
// entries of the same tokens. The size of the map and the journal's share of it are such that the journal goes back
// about as far as the tokens.

struct ChurnProof: Proof {
    static let usage = """
        usage: Proofs churn FOLDER [--tokens N] [--rate N] [--life SECONDS] [--retention SECONDS] [--per-commit N]
                            [--ratio-max R] [--bytes-max N] [--revoked PERCENT]
        Exits with 0 if both figures are within their limits, 1 if one is not, 2 if the proof could not run.
        """

    private let settings: ChurnSettings

    init?(_ arguments: ArraySlice<String>) {
        guard let settings = ChurnSettings(arguments) else { return nil }
        self.settings = settings
    }

    func run() async throws -> ProofOutcome { try await Churn(settings).run() }
}

/// What a run issues and sweeps, and the limits of both figures.
struct ChurnSettings: Sendable {
    let folder: String
    var tokens = 1_000_000
    /// Tokens issued in a second of simulated time.
    var rate = 5_000
    var lifeSeconds: Int64 = 40
    var retentionSeconds: Int64 = 10
    var perCommit = 500
    /// Time of a commit at the end by that at the start.
    var ratioMax = 1.2
    /// Bytes of a token.
    var bytesMax = 300.0
    var revokedPercent = 0

    init?(_ arguments: ArraySlice<String>) {
        var rest = arguments
        guard let folder = rest.popFirst(), !folder.hasPrefix("-") else { return nil }
        self.folder = folder
        guard var values = NamedValues(rest), values.take("--tokens", &tokens, where: { $0 >= 0 }),
            values.take("--rate", &rate, where: { $0 > 0 }), values.take("--life", &lifeSeconds, where: { $0 >= 0 }),
            values.take("--retention", &retentionSeconds, where: { $0 >= 0 }),
            values.take("--per-commit", &perCommit, where: { $0 > 0 }),
            values.take("--ratio-max", &ratioMax, where: { $0 >= 0 }),
            values.take("--bytes-max", &bytesMax, where: { $0 >= 0 }),
            values.take("--revoked", &revokedPercent, where: { $0 >= 0 }), values.isEmpty
        else { return nil }
    }

    /// Tokens in the store at its steady size.
    var steadyCount: Int { rate * Int(lifeSeconds + retentionSeconds) }
}

private struct Churn {
    let settings: ChurnSettings
    let store: CredentialStore

    init(_ settings: ChurnSettings) throws {
        self.settings = settings
        try FileManager.default.createDirectory(
            atPath: settings.folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let peppers = try PepperFileOnDisk.create(settings.folder + "/peppers")
        // The sweep counts a journal entry as 40 bytes. Five percent of the map have room for those of the tokens in
        // the store and of their revocations.
        let journalBytes = settings.steadyCount * 40 * (100 + settings.revokedPercent) / 100
        store = try CredentialStore.create(
            in: settings.folder + "/store", vendor: .iiniit, peppers: peppers,
            options: StoreOptions(
                mapBytes: journalBytes * 20, cacheBytes: RecordCache.bytesMin, readersMax: 16))
    }

    func run() async throws -> ProofOutcome {
        defer { store.closeBlockingly() }
        let retention = RetentionPolicy(
            tokenSeconds: settings.retentionSeconds,
            // Entries have the real time, which hardly advances here, so they are removed by their number.
            journalSeconds: 10 * 365 * 86_400, journalPercent: 5)
        let start = store.clock.now()
        let boot = TrustedClock.Reading.current.boot
        var issued = 0
        var commits: [(issued: Int, seconds: Double)] = []
        var sweptSeconds = 0.0
        var swept = 0
        var sweptAt: Int64 = 0
        // Sixty sweeps in the life of a token, like one each minute of an hour.
        let sweepEvery = max(1, (settings.lifeSeconds + settings.retentionSeconds) / 60)
        while issued < settings.tokens {
            let seconds = Int64(issued / settings.rate)
            let instant = instant(after: start, issued)
            let begun = ContinuousClock.now
            try await issue(settings.perCommit, at: start.adding(seconds), instant, number: issued)
            commits.append((issued, (ContinuousClock.now - begun) / .seconds(1)))
            issued += settings.perCommit
            if seconds >= sweptAt + sweepEvery {
                sweptAt = seconds
                let begun = ContinuousClock.now
                swept += try await Sweep.run(
                    on: store, retention: retention,
                    reading: TrustedClock.Reading(wall: start.rawValue + seconds, boot: boot + seconds)
                ).credentials
                sweptSeconds += (ContinuousClock.now - begun) / .seconds(1)
            }
        }
        return try report(commits, swept: swept, sweptSeconds: sweptSeconds)
    }

    private func instant(after start: UnixSeconds, _ issued: Int) -> UInt64 {
        UInt64(start.rawValue) << 32 + (UInt64(issued) << 32) / UInt64(settings.rate)
    }

    /// One commit of tokens as client credentials yield them: an owner of eleven letters, a client and scopes.
    private func issue(_ count: Int, at time: UnixSeconds, _ instant: UInt64, number: Int) async throws {
        let (life, pepper, revoked) = (settings.lifeSeconds, store.peppers.newest.number, settings.revokedPercent)
        try await store.write(creates: true) { writer, transaction in
            let client = try writer.intern(.client, Array("client".utf8), in: transaction)
            let scopes = try writer.intern(.scopes, Array("read write".utf8), in: transaction)
            let owner = Array("0Aclient\(number / count % 100 + 100)".utf8)
            for index in 0..<count {
                let id = try writer.nextTokenID(at: instant, in: transaction)
                var record = CredentialRecord(
                    id: id, kind: .accessToken, tag: Tag(id.rawValue, 2, 3, 4), pepper: pepper)
                record.issuedAt = time
                record.expiresAt = time.adding(life)
                record.setGrants(client: client, scopes: scopes, audiences: 0, networks: 0)
                let token = StoredCredential(record: record, owner: owner, name: nil)
                guard try writer.insert(token, in: transaction) else { throw NotIssued() }
                guard index * 100 < count * revoked else { continue }
                guard let old = try writer.credential(id, in: transaction) else { throw NotIssued() }
                var ended = old
                ended.record.flags.insert(.revoked)
                ended.revokedAt = time
                try writer.replace(old, by: ended, event: .revoked, in: transaction)
            }
        }
    }

    private func report(
        _ commits: [(issued: Int, seconds: Double)], swept: Int, sweptSeconds: Double
    ) throws -> ProofOutcome {
        let statistics = Dictionary(uniqueKeysWithValues: try store.statistics().map { ($0.name, Double($0.value)) })
        func figure(_ name: String) -> Double { statistics[name] ?? 0 }
        // The store has reached its size once it was filled and the first tokens were swept.
        let steady = commits.filter { $0.issued >= settings.steadyCount * 5 / 4 }.map(\.seconds)
        let tenth = max(1, steady.count / 10)
        guard steady.count >= 20 else {
            print("not run: --tokens must be at least twice the tokens in the store at once (\(settings.steadyCount))")
            return .inconclusive
        }
        let first = lowTime(steady.prefix(tenth)), last = lowTime(steady.suffix(tenth))
        let tokens = figure("tokens")
        let occupied = figure("used_bytes") - figure("free_bytes")
        let bytes = occupied / max(1, tokens)
        let file = figure("file_bytes") / max(1, tokens)
        let findings = try store.check()
        print(
            "issued \(settings.tokens), swept \(swept), in the store \(Int(tokens)), "
                + "journal entries \(Int(figure("journal")))"
        )
        print("bytes per token: occupied \(round(bytes)), file \(round(file)), limit \(settings.bytesMax)")
        print("free list: \(Int(figure("free_bytes") / 4_096)) pages of \(Int(figure("used_bytes") / 4_096))")
        print(
            "commit of \(settings.perCommit): first \(round(first * 1e6)) µs, last \(round(last * 1e6)) µs, "
                + "ratio \(String(format: "%.2f", last / first)), limit \(settings.ratioMax)")
        print("sweep: \(round(sweptSeconds / Double(max(1, swept)) * 1e9)) ns per token")
        let hour = Double(5_000 * (3_600 + 900))
        print(
            "projected file for 5,000 tokens/s that live an hour and are kept 900 s: "
                + "\(String(format: "%.2f", hour * file / 1e9)) GB"
        )
        for finding in findings.prefix(5) { print("finding: \(finding)") }
        let isWithinLimits = last / first <= settings.ratioMax && file <= settings.bytesMax
        return findings.isEmpty && isWithinLimits ? .held : .violated
    }

    /// The tenth percentile. Other work of the machine makes commits only slower, whereas the age of the store affects
    /// all of them.
    private func lowTime(_ values: ArraySlice<Double>) -> Double {
        let sorted = values.sorted()
        return sorted[sorted.count / 10]
    }

    private struct NotIssued: Error {}
}
