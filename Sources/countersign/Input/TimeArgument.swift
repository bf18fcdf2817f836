import ArgumentParser

/// A point in time: `2026-12-31T23:59:59Z` (RFC 3339), or seconds since the Unix epoch.
struct TimeArgument: Equatable, Sendable, ExpressibleByArgument {
    let seconds: Int64

    init?(argument: String) {
        let isNumber = !argument.isEmpty && argument.allSatisfy { $0.isASCII && $0.isNumber }
        guard let seconds = isNumber ? Int64(argument) : TimeText.parse(argument) else { return nil }
        self.seconds = seconds
    }
}
