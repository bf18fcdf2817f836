import CredentialModel
import CredentialStore
import Foundation
import Issuance
import ProofSupport
import Verification

/// What a verification from the cache costs the process that owns the store, and one that follows it, by turns in one run.
enum Measuring {
    private static let keyCount = 1_000
    private static let turns = 9
    private static let roundsPerTurn = 300

    static func run() async throws {
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
        let questions = Pipe()
        let answers = Pipe()
        let follower = Process()
        follower.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        follower.arguments = ["measure-follower", folder.store, folder.peppers]
        follower.standardInput = questions
        follower.standardOutput = answers
        try follower.run()
        try write(texts, to: questions)
        let verifier = try Verifier(store: store)
        _ = time(verifier, texts)
        var (own, followed): ([Double], [Double]) = ([], [])
        for _ in 0..<turns {
            own.append(time(verifier, texts))
            try questions.fileHandleForWriting.write(contentsOf: Data("go\n".utf8))
            let answer = String(decoding: answers.fileHandleForReading.availableData, as: UTF8.self)
            followed.append(Double(answer.trimmingCharacters(in: .whitespacesAndNewlines)) ?? .nan)
        }
        try questions.fileHandleForWriting.close()
        follower.waitUntilExit()
        close(store)
        let ratios = zip(followed, own).map { $0 / $1 }.sorted()
        print(
            String(
                format:
                    "cached verification, %d keys: owner %.1f ns, follower %.1f ns, ratio %.3f (%.3f to %.3f), limit 1.5",
                keyCount, own.sorted()[turns / 2], followed.sorted()[turns / 2], ratios[turns / 2], ratios[0],
                ratios[turns - 1]))
        if !(ratios[turns / 2] <= 1.5) { exit(1) }
    }

    private static func close(_ store: CredentialStore) { store.close() }

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

    /// Nanoseconds for one verification.
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
