import CredentialModel
import CredentialStore
import Foundation
import Issuance
import ProofSupport
import RecordCache
import Verification

/// Tries to break the contract between two processes: one owns a store and revokes, the other follows it and verifies.
enum FollowingProof: Proof {
    static let usage = """
        usage: Proofs following own ROUNDS              races two processes, one of which it starts
               Proofs following answer STORE PEPPERS    answers queries on standard input, for tests
               Proofs following measure                 compares the cost of a verification in both processes
        Exits with 0 if no credential was accepted after its end was acknowledged, or if the cost is within its limit;
        1 if not; 2 if the proof could not run or the processes did not meet often enough.
        """

    case own(rounds: Int)
    case answer(store: String, peppers: String)
    case measure
    // The other process of `own` and of `measure`.
    case follow(store: String, peppers: String, table: String)
    case measureFollower(store: String, peppers: String)

    init?(_ arguments: ArraySlice<String>) {
        let values = Array(arguments.dropFirst())
        switch (arguments.first, values.count) {
        case ("own", 1):
            guard let rounds = Int(values[0]), rounds > 0 else { return nil }
            self = .own(rounds: rounds)
        case ("answer", 2): self = .answer(store: values[0], peppers: values[1])
        case ("measure", 0): self = .measure
        case ("follow", 3): self = .follow(store: values[0], peppers: values[1], table: values[2])
        case ("measure-follower", 2): self = .measureFollower(store: values[0], peppers: values[1])
        default: return nil
        }
    }

    func run() async throws -> ProofOutcome {
        switch self {
        case .own(let rounds): return try await OwningSide(rounds: rounds).run()
        case .answer(let store, let peppers): QueryAnswers.run(store: store, peppers: peppers)
        case .measure: return try await CostComparison.run()
        case .follow(let store, let peppers, let table):
            try FollowingSide(store: store, peppers: peppers, table: table).run()
        case .measureFollower(let store, let peppers): try CostComparison.follow(store: store, peppers: peppers)
        }
        return .held
    }

    /// Starts this program again as the other process.
    static func start(_ arguments: [String], input: Pipe? = nil, output: Pipe? = nil) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = ["following"] + arguments
        if let input { process.standardInput = input }
        if let output { process.standardOutput = output }
        try process.run()
        return process
    }
}

/// Answers queries about credentials, one line for each, for tests with two processes.
///
/// ```
/// verify TEXT [SECOND]   → active OWNER SCOPES hit|miss · inactive REASON · error MESSAGE
/// batch TEXT TEXT…       → for each, active or inactive REASON, separated by commas
/// ```
enum QueryAnswers {
    static func run(store path: String, peppers: String) {
        let store: FollowedStore
        let verifier: Verifier
        do {
            store = try FollowedStore.open(
                in: path, pepperPath: peppers, options: FollowOptions(cacheBytes: 1 << 20, mapBytes: 1 << 33))
            verifier = try Verifier(store: store)
        } catch {
            say("refused \(error)")
            exit(1)
        }
        say("open \(store.incarnation)")
        while let line = readLine() {
            let words = line.split(separator: " ").map(String.init)
            if words.first == "batch" {
                say(batch(words.dropFirst().map { Array($0.utf8) }, store.clock.now(), verifier))
                continue
            }
            guard words.count >= 2, words[0] == "verify" else { exit(64) }
            let now = words.count > 2 ? UnixSeconds(Int64(words[2]) ?? 0) : store.clock.now()
            say(answer(Array(words[1].utf8), now, verifier))
        }
    }

    private static func answer(_ text: [UInt8], _ now: UnixSeconds, _ verifier: Verifier) -> String {
        let hits = verifier.counters.hits.value
        do {
            switch try verifier.verify(text.octets, at: now) {
            case .inactive(let reason): return "inactive \(reason)"
            case .active(let record):
                let scopes = verifier.interned.withText(.scopes, record.scopes) {
                    String(decoding: $0.copied(), as: UTF8.self)
                }
                let owner = String(decoding: verifier.owner(of: record), as: UTF8.self)
                let place = verifier.counters.hits.value > hits ? "hit" : "miss"
                return "active \(owner) \(scopes.replacing(" ", with: "+")) \(place)"
            }
        } catch {
            return "error \(error)"
        }
    }

    private static func batch(_ texts: [[UInt8]], _ now: UnixSeconds, _ verifier: Verifier) -> String {
        var batch = verifier.makeBatch()
        for text in texts { _ = batch.append(text.octets) }
        var verdicts: [String] = []
        do {
            try verifier.verify(&batch, at: now) { _, reason, _ in
                verdicts.append(reason.map { "inactive \($0)" } ?? "active")
            }
        } catch {
            return "error \(error)"
        }
        return verdicts.joined(separator: ",")
    }

    private static func say(_ line: String) {
        FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }
}

/// Compares what a cached verification costs the process that owns the store and one that follows it, alternating in
/// one run.
enum CostComparison {
    private static let keyCount = 1_000
    private static let turns = 9
    private static let roundsPerTurn = 300
    private static let ratioMax = 1.5

    static func run() async throws -> ProofOutcome {
        let folder = try ProofFolder("following")
        defer { folder.remove() }
        let peppers = try PepperFileOnDisk.create(folder.peppers)
        let store = try CredentialStore.create(
            in: folder.store, vendor: .iiniit, peppers: peppers,
            options: StoreOptions(mapBytes: 1 << 30, cacheBytes: 64 << 20, readersMax: 64))
        let issuer = Issuer(store: store, pepperPath: folder.peppers)
        let texts = try await issuer.createKeys(KeyRequest(owner: "alice", count: keyCount)).map {
            $0.secret.revealBytes()
        }
        let requests = Pipe()
        let answers = Pipe()
        let follower = try FollowingProof.start(
            ["measure-follower", folder.store, folder.peppers], input: requests, output: answers)
        try write(texts, to: requests)
        let verifier = try Verifier(store: store)
        _ = time(verifier, texts)
        var (own, followed): ([Double], [Double]) = ([], [])
        for _ in 0..<turns {
            own.append(time(verifier, texts))
            try requests.fileHandleForWriting.write(contentsOf: Data("go\n".utf8))
            let answer = String(decoding: answers.fileHandleForReading.availableData, as: UTF8.self)
            followed.append(Double(answer.trimmingCharacters(in: .whitespacesAndNewlines)) ?? .nan)
        }
        try requests.fileHandleForWriting.close()
        follower.waitUntilExit()
        store.closeBlockingly()
        let ratios = zip(followed, own).map { $0 / $1 }.sorted()
        print(
            String(
                format: "cached verification, %d keys: owner %.1f ns, follower %.1f ns, "
                    + "ratio %.3f (%.3f to %.3f), limit %.1f",
                keyCount, own.sorted()[turns / 2], followed.sorted()[turns / 2], ratios[turns / 2], ratios[0],
                ratios[turns - 1], ratioMax))
        return ratios[turns / 2] <= ratioMax ? .held : .violated
    }

    private static func write(_ texts: [[UInt8]], to pipe: Pipe) throws {
        for text in texts { try pipe.fileHandleForWriting.write(contentsOf: Data(text + [0x0A])) }
    }

    static func follow(store: String, peppers: String) throws {
        let store = try FollowedStore.open(in: store, pepperPath: peppers)
        let verifier = try Verifier(store: store)
        let texts = (0..<keyCount).compactMap { _ in readLine().map { Array($0.utf8) } }
        _ = time(verifier, texts)
        while readLine() != nil {
            FileHandle.standardOutput.write(Data("\(time(verifier, texts))\n".utf8))
        }
    }

    /// Nanoseconds of one verification.
    private static func time(_ verifier: Verifier, _ texts: [[UInt8]]) -> Double {
        let now = verifier.clock.now()
        var record = CredentialRecord.blank
        var refused = 0
        let begun = ContinuousClock.now
        for _ in 0..<roundsPerTurn {
            for text in texts {
                let reason: InactiveReason?? = try? verifier.verify(text.octets, at: now, into: &record)
                if reason != .some(.none) { refused += 1 }
            }
        }
        let passed = ContinuousClock.now - begun
        guard refused == 0 else { return .nan }
        let nanoseconds = Double(passed.components.seconds) * 1e9 + Double(passed.components.attoseconds) / 1e9
        return nanoseconds / Double(roundsPerTurn * texts.count)
    }
}
