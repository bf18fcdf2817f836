import AdministrationAPI
import Foundation
import Logging

/// One JSON object a line on standard error.
///
/// What is logged holds no credential: nothing in this program logs a body, a query or an Authorization field, and the
/// types that hold credentials print themselves as redacted.
struct JSONLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level
    private let label: String

    init(label: String, level: Logger.Level) {
        self.label = label
        logLevel = level
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
        // One write a line: lines of several threads do not mix.
        try? FileHandle.standardError.write(contentsOf: line)
    }
}
