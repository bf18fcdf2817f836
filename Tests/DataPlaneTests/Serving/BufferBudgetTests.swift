import Synchronization
import Testing

@testable import DataPlane

/// The one bound of all that connections hold; see Sources/DataPlane/Connection/BufferBudget.swift.
@Suite struct `The budget of buffers` {
    @Test func `is exceeded by the byte behind it, and has room again a sixteenth below`() {
        let budget = BufferBudget(bytesMax: 1_600, loops: 2)
        #expect(!budget.add(1_600) && !budget.isExceeded && !budget.hasRoom)
        #expect(budget.add(1) && budget.isExceeded)
        #expect(!budget.add(-100) && !budget.isExceeded && !budget.hasRoom)
        #expect(!budget.add(-1) && budget.hasRoom && budget.usedBytes == 1_500)
    }

    @Test func `gives each loop an even part, and asks it to go a sixteenth below that`() {
        let budget = BufferBudget(bytesMax: 3_200, loops: 2)
        #expect(budget.shareBytes == 1_600 && budget.relievedShareBytes == 1_500)
    }

    @Test func `asks the other loops once, until one of them has looked`() {
        let budget = BufferBudget(bytesMax: 1, loops: 2)
        let counter = Asked()
        budget.onExceeded { counter.note() }
        budget.askOthers()
        budget.askOthers()
        #expect(counter.count == 1)
        budget.asked()
        budget.askOthers()
        #expect(counter.count == 2)
    }

    /// What a flood has left is given back to the system for as long as this says that there was one.
    @Test func `remembers that it was exceeded, until that has been taken`() {
        let budget = BufferBudget(bytesMax: 100, loops: 1)
        _ = budget.add(100)
        #expect(!budget.takeExceeded())
        _ = (budget.add(1), budget.add(-101))
        #expect(budget.takeExceeded() && !budget.takeExceeded())
    }

    /// What buffers take of the process is more than their bytes, and never less.
    @Test func `counts an eighth more than the bytes that are held`() {
        #expect(BufferBudget.occupied(by: 0) == 0 && BufferBudget.occupied(by: 8_000) == 9_000)
    }

    private final class Asked: Sendable {
        private let times = Atomic<Int>(0)
        var count: Int { times.load(ordering: .relaxed) }
        func note() { times.add(1, ordering: .relaxed) }
    }
}
