import Configuration
import CredentialModel
import Foundation

/// Settings from flags, environment and file, in this order. A value of the wrong type is an error, not an absence.
struct SettingsReader: Sendable {
    private let reader: ConfigReader
    private let sources: [Setting: Source]
    /// What is wrong with names and types in the file and in the environment.
    let faults: [CommandFailure]
    /// Names of earlier versions that are still taken.
    let notes: [String]

    /// Where the value of a setting comes from.
    private struct Source: Sendable {
        let text: String
        let place: String
    }

    init(
        flags: [Setting: ConfigContent], file path: String?,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) async throws {
        let file = try path.map { path throws(CommandFailure) in try SettingsFile(path) }
        let variables = Variables(environment)
        // Numbers are read as texts: they may have a unit.
        let flags = flags.mapValues { content -> ConfigContent in
            if case .int(let number) = content { .string(String(number)) } else { content }
        }
        var sources: [Setting: Source] = [:]
        for (setting, content) in file?.values ?? [:] {
            sources[setting] = Source(
                text: Self.text(content), place: "line \(file?.lines[setting] ?? 0) of '\(path ?? "")'")
        }
        for (setting, text) in variables.values { sources[setting] = Source(text: text, place: setting.variable) }
        for (setting, content) in flags {
            sources[setting] = Source(text: Self.text(content), place: "--\(setting.rawValue)")
        }
        self.sources = sources
        faults = (file?.faults ?? []).map { CommandFailure($0, status: .usage) }
        notes = (file?.notes ?? []) + variables.notes
        reader = ConfigReader(providers: [
            InMemoryProvider(name: "flags", values: Self.keyed(flags)),
            EnvironmentVariablesProvider(
                environmentVariables: Dictionary(
                    uniqueKeysWithValues: variables.values.map { ($0.key.variable, $0.value) })
            ).prefixKeys(with: "countersign"),
            InMemoryProvider(name: "file", values: Self.keyed(file?.values ?? [:])),
        ])
    }

    private static func keyed(_ values: [Setting: ConfigContent]) -> [AbsoluteConfigKey: ConfigValue] {
        Dictionary(
            uniqueKeysWithValues: values.map { setting, content in
                (
                    AbsoluteConfigKey(setting.rawValue.split(separator: ".").map(String.init)),
                    ConfigValue(content, isSecret: false)
                )
            })
    }

    private static func text(_ content: ConfigContent) -> String {
        switch content {
        case .string(let text): text
        case .stringArray(let texts): texts.joined(separator: ", ")
        case .bool(let truth): String(truth)
        default: ""
        }
    }

    /// A text. An empty one is a mistake, as that of a variable that a script did not set, unless it means something.
    func text(_ setting: Setting) throws -> String? {
        let text = try value(setting) { reader.string(forKey: ConfigKey(stringLiteral: setting.rawValue)) }
        guard let text, PathText.isBlank(text), !setting.mayBeEmpty else { return text }
        throw fault(setting, "is empty. Give it a value, or leave it out")
    }

    func list(_ setting: Setting) throws -> [String]? {
        try value(setting) { reader.stringArray(forKey: ConfigKey(stringLiteral: setting.rawValue)) }
    }

    func truth(_ setting: Setting) throws -> Bool? {
        try value(setting) { reader.bool(forKey: ConfigKey(stringLiteral: setting.rawValue)) }
    }

    /// A number, in seconds or bytes where the setting has such a unit.
    func number(_ setting: Setting, from least: Int = 0, to most: Int = Int.max) throws -> Int? {
        let text = try value(setting) { reader.string(forKey: ConfigKey(stringLiteral: setting.rawValue)) }
        guard let text else { return nil }
        let number: Int? =
            switch setting.kind {
            case .seconds: Int(text) ?? DurationArgument(argument: text).map { Int($0.seconds) }
            case .bytes: Int(text) ?? ByteCount(text)?.bytes
            default: Int(text)
            }
        guard let number else { throw fault(setting, "must be \(setting.kind.rawValue)") }
        guard number >= least, number <= most else {
            throw fault(setting, most == Int.max ? "must be at least \(least)" : "must be \(least) to \(most)")
        }
        return number
    }

    /// The reader answers nil both for an absent value and for one of the wrong type.
    private func value<Value>(_ setting: Setting, _ read: () -> Value?) throws -> Value? {
        if let value = read() { return value }
        guard sources[setting] == nil else { throw fault(setting, "must be \(setting.kind.rawValue)") }
        return nil
    }

    /// - Parameter reason: goes on after the value: "must be …".
    func fault(_ setting: Setting, _ reason: String) -> CommandFailure {
        guard let source = sources[setting] else {
            return CommandFailure(
                "Setting \(setting.rawValue) (as a flag where there is one, \(setting.variable), or in the file) \(reason).",
                status: .usage)
        }
        // A user name and password in a URL are nobody's business, and neither is a credential in the wrong place.
        let text = RedactedText.withoutCredentials(SafeText.visible(source.text))
        let value = text.isEmpty || text.contains("@") ? "" : " '\(text)'"
        return CommandFailure("Setting \(setting.rawValue)\(value) (\(source.place)) \(reason).", status: .usage)
    }
}

/// The `COUNTERSIGN_…` variables of an environment.
struct Variables {
    private(set) var values: [Setting: String] = [:]
    /// Names of earlier versions that are still taken.
    private(set) var notes: [String] = []
    /// Variables that look like settings and are none: most likely mistyped.
    private(set) var unknown: [String] = []

    /// What commands other than `serve` read.
    static let others = ["COUNTERSIGN_CONTROL_KEY_FILE"]

    init(_ environment: [String: String]) {
        for (name, text) in environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix(Setting.variablePrefix) {
            if let setting = Setting.ofVariable(name) {
                if name != setting.variable { notes.append("\(name) is now called \(setting.variable).") }
                // The present name counts where both are there.
                if name == setting.variable || environment[setting.variable] == nil { values[setting] = text }
            } else if !Self.others.contains(name), !Self.isServiceLink(name) {
                let known = Setting.allCases.map(\.variable) + Self.others
                unknown.append(Setting.unknown(name, nearest: NearNames.nearest(to: name, among: known)))
            }
        }
    }

    /// Kubernetes tells each container of the services in its namespace by variables: a service `countersign` makes
    /// `COUNTERSIGN_SERVICE_HOST`, `COUNTERSIGN_PORT_8080_TCP_ADDR` and the like.
    private static func isServiceLink(_ name: String) -> Bool {
        name.wholeMatch(
            of:
                /COUNTERSIGN(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)/
        ) != nil
    }
}
