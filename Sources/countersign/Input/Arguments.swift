import ArgumentParser
import CredentialModel

// What people write on the command line and in settings. Options take the types by `transform`, since `ExpressibleByArgument`
// has no place for a reason: the parser names the option and the value, the reason says what to write instead.

/// A span of time: a whole number and a unit, as `90d`, `24h`, `15m` or `30s`, or just `0`.
///
/// A bare number is refused: nothing about `--overlap 3600` says whether hours or seconds are meant. Settings take one, since
/// their names end in `-seconds`.
struct DurationArgument: Equatable, Sendable {
    let seconds: Int64

    private static let secondsPerUnit: [Character: Int64] = ["d": 86_400, "h": 3_600, "m": 60, "s": 1]

    init(seconds: Int64) {
        self.seconds = seconds
    }

    init?(argument: String) {
        guard let duration = try? Self.parse(argument) else { return nil }
        self = duration
    }

    /// - Throws: `ValidationError` that says what to write instead.
    static func parse(_ argument: String) throws -> DurationArgument {
        if argument == "0" { return DurationArgument(seconds: 0) }
        if isWholeNumber(argument) {
            throw ValidationError(
                "A duration needs a unit (s, m, h or d). For seconds write \(argument)s; 15m, 24h and 90d are minutes, "
                    + "hours and days.")
        }
        let digits = argument.dropLast()
        guard let unit = argument.last.flatMap({ secondsPerUnit[$0] }), isWholeNumber(digits) else {
            throw ValidationError("Write a whole number and one unit (s, m, h or d): 30s, 15m, 24h, 90d.")
        }
        let (product, overflow) = (Int64(digits) ?? .max).multipliedReportingOverflow(by: unit)
        guard !overflow, product <= UnixSeconds.latest.rawValue else {
            throw ValidationError("A duration of this length ends after the year 9999. Write a shorter one, as 90d.")
        }
        return DurationArgument(seconds: product)
    }

    /// The shortest spelling: `1d`, `90m`.
    static func text(_ seconds: Int64) -> String {
        guard seconds != 0 else { return "0" }
        for (unit, name) in [(Int64(86_400), "d"), (3_600, "h"), (60, "m")] where seconds % unit == 0 {
            return "\(seconds / unit)\(name)"
        }
        return "\(seconds)s"
    }
}

/// A point in time: `2026-12-31T23:59:59Z` (RFC 3339), the beginning of a day in UTC as `2026-12-31`, or seconds since the Unix
/// epoch.
struct TimeArgument: Equatable, Sendable {
    let seconds: Int64

    init?(argument: String) {
        let time = isWholeNumber(argument) ? Int64(argument) : TimeText.parse(argument)
        guard let seconds = time ?? TimeText.parse(argument + "T00:00:00Z") else { return nil }
        self.seconds = seconds
    }

    /// - Throws: `ValidationError` that says what to write instead.
    static func parse(_ argument: String) throws -> TimeArgument {
        guard let time = TimeArgument(argument: argument) else {
            throw ValidationError(
                "Write date, time and zone, as 2026-12-31T23:59:59Z (RFC 3339), a date (its beginning in UTC), or seconds since 1970-01-01T00:00:00Z."
            )
        }
        return time
    }
}

/// A size as people write it: `512KiB`, `256MiB`, `16GiB`, `1TiB`.
struct ByteCount: Equatable, Sendable {
    let bytes: Int

    init?(_ text: String) {
        for (unit, shift) in [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)] where text.hasSuffix(unit) {
            let digits = text.dropLast(unit.count)
            guard isWholeNumber(digits), let count = Int(digits) else { return nil }
            let (product, overflow) = count.multipliedReportingOverflow(by: 1 << shift)
            guard !overflow else { return nil }
            bytes = product
            return
        }
        return nil
    }

    /// The largest unit that fits, with one decimal where the size is not a multiple of it. For messages.
    static func text(_ bytes: Int) -> String {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] where bytes >= 1 << shift {
            let count = Double(bytes) / Double(1 << shift)
            return bytes % (1 << shift) == 0 ? "\(bytes >> shift) \(unit)" : "\((count * 10).rounded() / 10) \(unit)"
        }
        return "\(bytes) bytes"
    }
}

/// A scope as one argument of space-separated words.
struct ScopeArgument: Equatable, Sendable, ExpressibleByArgument {
    let words: [String]

    init?(argument: String) {
        words = argument.split(separator: " ").map(String.init)
    }
}

/// The ids on a command line.
enum IDArguments {
    /// - Throws: `ValidationError` that names the place and not the text: it may be a whole credential, pasted by mistake.
    static func check(_ ids: [String]) throws {
        for (index, id) in ids.enumerated() where CredentialID(id) == nil {
            throw ValidationError(
                "Argument \(index + 1) is not an id. An id is the 11 letters and digits after the first '_' of a key.")
        }
    }
}

/// Paths from arguments and the environment.
///
/// An empty one is refused. The system takes it for the working directory, so a script with an unset variable would create a
/// store, or look for one, wherever it happens to run.
enum PathText {
    /// For arguments and options that are paths.
    static func argument(_ text: String) throws -> String {
        guard !isBlank(text) else {
            throw ValidationError("A path must not be empty. Is a variable of the script not set?")
        }
        return text
    }

    static func isBlank(_ text: String) -> Bool { text.allSatisfy(\.isWhitespace) }
}

/// Whether the text is ASCII digits and nothing else: no sign, no spaces, no digits of other scripts.
private func isWholeNumber(_ text: some StringProtocol) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
}
