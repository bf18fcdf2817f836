import Dispatch
import Foundation
import LMDB
import Synchronization
import Testing

@Suite struct BatchThreadTests {
    @Test func `writes of eight submitters all commit, on one thread`() throws {
        let store = try TemporaryStore()
        let (environment, numbers) = (store.environment, store.numbers)
        let threads = Mutex<Set<UInt>>([])
        let batches = Atomic<Int>(0)
        let writer = try BatchThread<UInt64>(name: "writer", capacity: 64, batchMax: 16) { batch, _ in
            #expect(!batch.isEmpty && batch.count <= 16)
            threads.withLock { _ = $0.insert(pthread_self()) }
            batches.add(1, ordering: .relaxed)
            do {
                _ = try environment.write { transaction in
                    for key in batch { try transaction.put(numbers, key, [UInt8(truncatingIfNeeded: key)]) }
                }
            } catch {
                Issue.record("\(error)")
            }
        }
        DispatchQueue.concurrentPerform(iterations: 8) { submitter in
            for index in 0..<250 {
                while !writer.submit(UInt64(submitter * 250 + index)) { sched_yield() }
            }
        }
        writer.close()
        #expect(try Set(store.rows().keys) == Set(0..<2_000))
        #expect(threads.withLock { $0.count } == 1)
        #expect(batches.load(ordering: .relaxed) >= 2_000 / 16)
    }

    @Test func `the order of one submitter is kept`() throws {
        let seen = Mutex<[Int]>([])
        let thread = try BatchThread<Int>(name: "order", capacity: 1_000, batchMax: 7) { batch, _ in
            let taken = batch
            seen.withLock { $0 += taken }
        }
        for number in 0..<1_000 { #expect(thread.submit(number)) }
        thread.close()
        #expect(seen.withLock { $0 } == Array(0..<1_000))
    }

    @Test func `a full queue refuses work, and droppable work from a quarter on`() throws {
        let gate = Gate()
        let done = Atomic<Int>(0)
        let thread = try BatchThread<Int>(name: "full", capacity: 8, batchMax: 100) { batch, _ in
            gate.pass()
            done.add(batch.count, ordering: .relaxed)
        }
        // The first element is taken and waits at the gate; then the queue fills.
        #expect(thread.submit(0))
        gate.waitForArrival()
        #expect(thread.submitIfIdle(1))
        #expect(thread.submitIfIdle(2))
        #expect(!thread.submitIfIdle(3))
        for number in 3...8 { #expect(thread.submit(number)) }
        #expect(thread.waiting == 8)
        #expect(!thread.submit(9))
        gate.open()
        thread.close()
        #expect(done.load(ordering: .relaxed) == 9)
        #expect(!thread.submit(10))
        #expect(!thread.submitIfIdle(10))
    }

    @Test func `background work waits for all others, and makes progress under any load`() throws {
        let gate = Gate()
        let seen = Mutex<[[Int]]>([])
        let thread = try BatchThread<Int>(name: "background", capacity: 1_000, batchMax: 10) { batch, _ in
            gate.pass()
            let taken = batch
            seen.withLock { $0.append(taken) }
        }
        #expect(thread.submit(0))
        gate.waitForArrival()
        for number in 1...3 { #expect(thread.submitInBackground(-number)) }
        for number in 1...200 { #expect(thread.submit(number)) }
        #expect(thread.waiting == 203)
        for number in 4...5 { #expect(thread.submitInBackground(-number)) }
        gate.open()
        thread.close()
        let batches = seen.withLock { $0 }
        #expect(batches.dropFirst().prefix(8).flatMap { $0 } == Array(1...80))
        #expect(batches[9] == Array(81...90) + [-1, -2, -3, -4, -5])
        #expect(batches.flatMap { $0 }.filter { $0 > 0 } == Array(1...200))
    }

    @Test func `background work alone is taken at once, up to a quarter of the queue`() throws {
        let gate = Gate()
        let done = Atomic<Int>(0)
        let thread = try BatchThread<Int>(name: "alone", capacity: 8, batchMax: 100) { batch, _ in
            gate.pass()
            done.add(batch.count, ordering: .relaxed)
        }
        #expect(thread.submitInBackground(0))
        gate.waitForArrival()
        #expect(thread.submitInBackground(1))
        #expect(thread.submitInBackground(2))
        #expect(!thread.submitInBackground(3))
        #expect(thread.submit(4))
        gate.open()
        thread.close()
        #expect(done.load(ordering: .relaxed) == 4)
    }

    @Test func `closing waits for everything accepted, from several threads, and repeatedly`() throws {
        for _ in 0..<50 {
            let done = Atomic<Int>(0)
            let accepted = Atomic<Int>(0)
            let thread = try BatchThread<Int>(name: "close", capacity: 100, batchMax: 10) { batch, _ in
                done.add(batch.count, ordering: .sequentiallyConsistent)
            }
            DispatchQueue.concurrentPerform(iterations: 4) { index in
                for number in 0..<20 where thread.submit(number) { accepted.add(1, ordering: .sequentiallyConsistent) }
                if index % 2 == 1 {
                    thread.close()
                    #expect(!thread.submit(0))
                }
            }
            thread.close()
            #expect(done.load(ordering: .sequentiallyConsistent) == accepted.load(ordering: .sequentiallyConsistent))
        }
    }

    @Test func `dropping the owner drains and ends the thread`() throws {
        let done = Atomic<Int>(0)
        do {
            let thread = try BatchThread<Int>(name: "drop", capacity: 10, batchMax: 1) { batch, _ in
                done.add(batch.count, ordering: .relaxed)
            }
            for number in 0..<10 { #expect(thread.submit(number)) }
        }
        #expect(done.load(ordering: .relaxed) == 10)
    }

    @Test func `a body that closes its own thread does not wait for itself`() throws {
        let box = Mutex<BatchThread<Int>?>(nil)
        let closed = Gate()
        let thread = try BatchThread<Int>(name: "self", capacity: 10, batchMax: 1) { _, _ in
            box.withLock { $0 }?.close()
            closed.open()
        }
        box.withLock { $0 = thread }
        #expect(thread.submit(1))
        closed.pass()
        #expect(!thread.submit(2))
        thread.close()
        box.withLock { $0 = nil }
    }

    @MainActor @Test func `a thread started on the main actor does not inherit its isolation`() throws {
        let done = Atomic<Int>(0)
        let thread = try BatchThread<Int>(name: "main", capacity: 10, batchMax: 1) { batch, _ in
            done.add(batch.count, ordering: .relaxed)
        }
        #expect(thread.submit(1))
        thread.close()
        #expect(done.load(ordering: .relaxed) == 1)
    }

    @Test func `elements are released when their batch is done`() throws {
        final class Canary: Sendable {}
        let thread = try BatchThread<Canary>(name: "release", capacity: 4, batchMax: 4) { _, _ in }
        weak var weakCanary: Canary?
        do {
            let canary = Canary()
            weakCanary = canary
            #expect(thread.submit(canary))
        }
        thread.close()
        #expect(weakCanary == nil)
    }
}

/// Stops a thread until it is opened, and reports when one has arrived.
private final class Gate: Sendable {
    private let arrived = DispatchSemaphore(value: 0)
    private let opened = DispatchSemaphore(value: 0)

    func pass() {
        arrived.signal()
        opened.wait()
        opened.signal()
    }

    func waitForArrival() { arrived.wait() }

    func open() { opened.signal() }
}
