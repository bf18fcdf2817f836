public import CredentialStore
import Foundation

/// Holds the writer thread still, so that what is submitted meanwhile ends up in one batch, in the order given.
public final class WriterGate: Sendable {
    private let store: CredentialStore
    private let opened = DispatchSemaphore(value: 0)

    /// Returns when the writer thread stands at the gate, in a batch of its own.
    public init(_ store: CredentialStore) {
        self.store = store
        let entered = DispatchSemaphore(value: 0)
        let opened = opened
        store.submit(creates: false) { _, _ in
            entered.signal()
            opened.wait()
        } completion: { _ in
        }
        entered.wait()
    }

    /// Returns when so many mutations wait behind the gate.
    public func waitUntilQueued(_ count: Int) async throws {
        while store.waitingMutations < count { try await Task.sleep(nanoseconds: 200_000) }
    }

    public func open() { opened.signal() }
}
