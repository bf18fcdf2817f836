public import Dispatch
public import NIOCore
import Synchronization

// The access log has one line of JSON for a request of the data plane. Event loops must not wait for a disk or for whoever reads
// a pipe, so a loop collects its lines in a buffer of its own, and hands it over when it is large or a second old. One queue
// writes the buffers one after the other. What it cannot write in time is dropped and counted.

/// Where the lines of the access log go, and how many there were.
public final class AccessLog: Sendable {
    /// Which requests have a line.
    public enum Sampling: Equatable, Sendable {
        case none
        /// Those that were not answered with "accepted".
        case errors
        /// One in so many, of all; at least 1.
        case oneIn(UInt32)

        /// - Parameter text: `off`, `errors`, `all`, or `1/N`.
        public init?(_ text: String) {
            switch text {
            case "off": self = .none
            case "errors": self = .errors
            case "all": self = .oneIn(1)
            default:
                guard text.hasPrefix("1/"), let number = UInt32(text.dropFirst(2)), number > 0 else { return nil }
                self = .oneIn(number)
            }
        }
    }

    private let write: @Sendable (ByteBuffer) -> Bool
    private let queue = DispatchQueue(label: "countersign.access-log")
    private let waitingBytes = Atomic<Int>(0)
    private let lines = Atomic<UInt64>(0)
    private let dropped = Atomic<UInt64>(0)

    /// Bytes that may wait to be written: some ten thousand lines.
    private static let waitingBytesMax = 8 << 20

    /// - Parameter write: writes whole lines, or returns false if they are lost. Called on one thread at a time, which it
    ///   may block.
    public init(write: @escaping @Sendable (ByteBuffer) -> Bool) { self.write = write }

    /// Lines that were written, and lines that were lost: they came too fast, or could not be written.
    public var counts: (written: UInt64, dropped: UInt64) {
        (lines.load(ordering: .relaxed), dropped.load(ordering: .relaxed))
    }

    /// Writes lines soon.
    /// - Parameter count: of lines.
    func give(_ bytes: ByteBuffer, count: UInt64) {
        let size = bytes.readableBytes
        guard waitingBytes.add(size, ordering: .relaxed).newValue <= Self.waitingBytesMax else {
            waitingBytes.subtract(size, ordering: .relaxed)
            dropped.add(count, ordering: .relaxed)
            return
        }
        queue.async { [self] in
            if write(bytes) { lines.add(count, ordering: .relaxed) } else { dropped.add(count, ordering: .relaxed) }
            waitingBytes.subtract(size, ordering: .relaxed)
        }
    }

    /// Waits until everything that was given is written.
    /// - Returns: whether it was, in this time.
    @available(*, noasync)
    @discardableResult
    public func flush(within limit: DispatchTimeInterval = .seconds(60)) -> Bool {
        let isWritten = DispatchSemaphore(value: 0)
        queue.async { isWritten.signal() }
        return isWritten.wait(timeout: .now() + limit) == .success
    }
}
