import Foundation
import LMDB
import Synchronization
import TestSupport
import Testing

@testable import CredentialStore

@Suite struct `A commit that the disk refuses` {
    /// In a process of its own: the limit on the size of files holds for all of it.
    @Test func `has an unknown outcome, ends all writing and tells the process once`() async {
        await #expect(processExitsWith: .success) {
            signal(SIGXFSZ, SIG_IGN)
            let told = Mutex<[StoreFailure]>([])
            let options = StoreOptions(mapBytes: 64 << 20, cacheBytes: 1 << 20, readersMax: 8) { failure in
                told.withLock { $0.append(failure) }
            }
            let fixture = try Fixture(options: options)
            let (id, secret) = try await fixture.plant()
            let size = try FileManager.default.attributesOfItem(atPath: fixture.directory + "/data.mdb")[.size] as? Int
            setrlimit(__rlimit_resource_t(1), [rlimit(rlim_cur: rlim_t(size ?? 0), rlim_max: rlim_t.max)])
            let gate = WriterGate(fixture.store)
            let outcomes = Mutex<[StoreFailure?]>([])
            for number in 0..<2_000 {
                fixture.store.submit(creates: false) { writer, transaction in
                    _ = try writer.raiseWatermark(
                        of: .owner(Array("owner \(number)".utf8)), issuedBefore: nil, in: transaction)
                } completion: { result in
                    if case .failure(let error) = result {
                        outcomes.withLock { $0.append(error as? StoreFailure) }
                    }
                }
            }
            gate.open()
            guard try await eventually({ outcomes.withLock { $0.count } == 2_000 }) else { exit(2) }
            let unknown = outcomes.withLock { outcomes in
                outcomes.allSatisfy { if case .outcomeUnknown = $0 { true } else { false } }
            }
            guard unknown else { exit(3) }
            guard fixture.store.hasFailed, told.withLock({ $0.count }) == 1 else { exit(4) }
            // No later write may be acknowledged, and what readers see is what was acknowledged.
            do {
                try await fixture.plant()
                exit(5)
            } catch StoreFailure.closed {
            }
            guard try fixture.verdict(secret).isActive else { exit(6) }
            setrlimit(__rlimit_resource_t(1), [rlimit(rlim_cur: rlim_t.max, rlim_max: rlim_t.max)])
            let again = try fixture.reopened()
            guard try again.row(id) != nil, try again.check().isEmpty else { exit(7) }
        }
    }
}
