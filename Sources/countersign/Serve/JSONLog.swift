import AdministrationAPI
import Foundation
import Logging
import Synchronization

/// One JSON object a line on standard error.
///
/// The log holds no credential: nothing in this program logs a body, a query or an Authorization field, and the types that hold
/// credentials print themselves as redacted.
struct JSONLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    private let label: String
    private let shared: SharedLogLevel
    /// Of this logger only.
    private var own: Logger.Level?

    init(label: String, level: SharedLogLevel) {
        self.label = label
        shared = level
    }

    var logLevel: Logger.Level {
        get { own ?? shared.current }
        set { own = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields = metadata.merging(event.metadata ?? [:]) { $1 }.mapValues { "\($0)" }
        fields["time"] = TimeText.utc(Int64(Date.now.timeIntervalSince1970))
        fields["level"] = event.level.rawValue
        fields["message"] = event.message.description
        fields["logger"] = label
        var members = JSONLine()
        for (name, value) in fields.sorted(by: { $0.key < $1.key }) { members.add(name, value) }
        let line = Data(members.bytes + [0x0A])
        // One write a line, so that lines of several threads do not mix.
        try? FileHandle.standardError.write(contentsOf: line)
    }
}

/// The level of all loggers of this process, which may change while it runs.
final class SharedLogLevel: Sendable {
    private let level: Mutex<Logger.Level>

    init(_ level: Logger.Level) { self.level = Mutex(level) }

    var current: Logger.Level { level.withLock { $0 } }

    func use(_ new: Logger.Level) { level.withLock { $0 = new } }
}
