import ArgumentParser
import CredentialModel

/// A span of time: `90d`, `24h`, `15m`, `30s`, or `0`. At most as long as there are times: until the year 9999.
struct DurationArgument: Equatable, Sendable, ExpressibleByArgument {
    let seconds: Int64

    init?(argument: String) {
        if argument == "0" {
            seconds = 0
            return
        }
        let secondsPerUnit: [Character: Int64] = ["d": 86_400, "h": 3_600, "m": 60, "s": 1]
        let digits = argument.dropLast()
        guard let unit = argument.last.flatMap({ secondsPerUnit[$0] }), !digits.isEmpty,
            digits.allSatisfy({ $0.isASCII && $0.isNumber }), let count = Int64(digits)
        else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: unit)
        guard !overflow, product <= UnixSeconds.latest.rawValue else { return nil }
        seconds = product
    }

    var defaultValueDescription: String { DurationArgument.text(seconds) }

    /// The shortest spelling: `1d`, `90m`.
    static func text(_ seconds: Int64) -> String {
        guard seconds != 0 else { return "0" }
        for (unit, name) in [(Int64(86_400), "d"), (3_600, "h"), (60, "m")] where seconds % unit == 0 {
            return "\(seconds / unit)\(name)"
        }
        return "\(seconds)s"
    }
}

extension DurationArgument {
    init(seconds: Int64) {
        self.seconds = seconds
    }
}
