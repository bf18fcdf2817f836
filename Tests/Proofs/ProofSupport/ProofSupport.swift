import Foundation

/// The `--name value` pairs of a proof's command line. Each is taken by its name; those that are left over are unknown.
public struct NamedValues {
    private var texts: [String: String] = [:]

    /// Nil when a name is repeated or has no value.
    public init?(_ arguments: ArraySlice<String>) {
        var rest = arguments
        while let name = rest.popFirst() {
            guard let text = rest.popFirst(), texts.updateValue(text, forKey: name) == nil else { return nil }
        }
    }

    public var isEmpty: Bool { texts.isEmpty }

    /// Takes a value if it was given; false when it is malformed or not allowed.
    public mutating func take<Value: LosslessStringConvertible>(
        _ name: String, _ value: inout Value, where isAllowed: (Value) -> Bool = { _ in true }
    ) -> Bool {
        guard let text = texts.removeValue(forKey: name) else { return true }
        guard let given = Value(text), isAllowed(given) else { return false }
        value = given
        return true
    }

    /// The same for an enumeration.
    public mutating func take<Value: RawRepresentable<String>>(_ name: String, _ value: inout Value?) -> Bool {
        guard let text = texts.removeValue(forKey: name) else { return true }
        value = Value(rawValue: text)
        return value != nil
    }
}

/// Threads that run at the same time, however few processors there are.
///
/// Not `DispatchQueue.concurrentPerform`: it uses only as many threads as there are processors and starts the remaining
/// calls after the first have ended. On a small machine, most of a race would never overlap.
public struct Threads: Sendable {
    private let ended = DispatchGroup()

    /// Starts `count` threads. None calls `body` before all have started.
    public init(_ count: Int, _ body: @escaping @Sendable (_ number: Int) -> Void) {
        let (present, start) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        for number in 0..<count {
            ended.enter()
            Thread.detachNewThread { [ended] in
                present.signal()
                start.wait()
                body(number)
                ended.leave()
            }
        }
        for _ in 0..<count { present.wait() }
        for _ in 0..<count { start.signal() }
    }

    /// Returns when all have ended.
    public func wait() { ended.wait() }
}

/// SplitMix64: small, fast, and the same on every machine, so that a seed reproduces a run.
public struct Randomness: RandomNumberGenerator {
    private var state: UInt64

    /// Equal seeds give equal sequences.
    public init(seed: UInt64) { state = seed }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// A folder for a store and its pepper file, in memory if possible: faster commits make more races.
public struct ProofFolder: Sendable {
    public let path: String
    public var store: String { path + "/store" }
    public var peppers: String { path + "/peppers" }

    /// - Parameter proof: becomes part of the folder's name.
    public init(_ proof: String) throws {
        let memory = "/dev/shm"
        let place = FileManager.default.isWritableFile(atPath: memory) ? memory : NSTemporaryDirectory()
        path = place + "/countersign-\(proof)-" + UUID().uuidString
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    public func remove() { try? FileManager.default.removeItem(atPath: path) }
}
