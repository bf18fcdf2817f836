import CredentialModel
import CredentialStore
import Foundation
import RecordCache
import Verification

/// Answers questions about credentials, one line for one: what a test of two processes asks.
///
/// ```
/// verify TEXT [SECOND]   → active OWNER SCOPES hit|miss · inactive REASON · trouble MESSAGE
/// batch TEXT TEXT…       → active or inactive REASON of each, parted by commas
/// ```
enum Answering {
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
                say(together(words.dropFirst().map { Array($0.utf8) }, store.clock.now(), verifier))
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
            return "trouble \(error)"
        }
    }

    private static func together(_ texts: [[UInt8]], _ now: UnixSeconds, _ verifier: Verifier) -> String {
        var batch = verifier.makeBatch()
        for text in texts { _ = batch.append(text.octets) }
        var verdicts: [String] = []
        do {
            try verifier.verify(&batch, at: now) { _, reason, _ in
                verdicts.append(reason.map { "inactive \($0)" } ?? "active")
            }
        } catch {
            return "trouble \(error)"
        }
        return verdicts.joined(separator: ",")
    }

    private static func say(_ line: String) {
        FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }
}
