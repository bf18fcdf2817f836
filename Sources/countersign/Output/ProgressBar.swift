/// A bar on standard error for what takes longer than a second; nothing at all when that is no terminal.
struct ProgressBar {
    private let label: String
    private let isShown: Bool
    private let start: ContinuousClock.Instant
    private var lastDrawn: ContinuousClock.Instant?

    init(_ label: String, isShown: Bool = Console.errorIsTerminal, now: ContinuousClock.Instant = .now) {
        self.label = label
        self.isShown = isShown
        start = now
    }

    /// Draws at most ten times a second.
    mutating func update(done: Int, of total: Int?, now: ContinuousClock.Instant = .now) {
        guard isDue(now) else { return }
        lastDrawn = now
        Console.overwriteError(Self.text(label, done: done, of: total))
    }

    /// Whether a bar would be drawn now.
    func isDue(_ now: ContinuousClock.Instant) -> Bool {
        guard isShown, now - start >= .seconds(1) else { return false }
        return lastDrawn.map { now - $0 >= .milliseconds(100) } ?? true
    }

    /// Wipes the bar away.
    func finish() {
        if lastDrawn != nil { Console.overwriteError("") }
    }

    static func text(_ label: String, done: Int, of total: Int?) -> String {
        guard let total, total > 0 else { return "\(label)  \(done)" }
        let percent = Int(min(100, max(0, Double(done) / Double(total) * 100)))
        let filled = percent * 30 / 100
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 30 - filled)
        return "\(label)  [\(bar)]  \(percent) %"
    }
}
