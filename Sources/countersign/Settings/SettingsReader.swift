import Configuration
import CredentialModel
import Foundation

/// Settings from flags, environment and file, in this order of precedence. A value of the wrong type is an error; it does not
/// count as absent.
struct SettingsReader: Sendable {
    private let reader: ConfigReader
    private let sources: [Setting: Source]
    /// Wrong names and types in the file.
    let faults: [CommandFailure]
    /// Sentences about names of earlier versions, which are still accepted.
    let notes: [String]

    /// The value of a setting and where it comes from, for messages.
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
        // Numbers are read as texts, since they may have a unit.
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

    /// - Throws: ``CommandFailure`` also for an empty text, unless the setting permits it: probably a script has an unset
    ///   variable.
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
    /// - Throws: ``CommandFailure`` also when it is not in the range.
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

    /// `ConfigReader` returns nil both for an absent value and for one of the wrong type.
    private func value<Value>(_ setting: Setting, _ read: () -> Value?) throws -> Value? {
        if let value = read() { return value }
        guard sources[setting] == nil else { throw fault(setting, "must be \(setting.kind.rawValue)") }
        return nil
    }

    /// - Parameter reason: the rest of the sentence after the value: "must be …".
    func fault(_ setting: Setting, _ reason: String) -> CommandFailure {
        guard let source = sources[setting] else {
            return CommandFailure(
                "Setting \(setting.rawValue) (as a flag where there is one, \(setting.variable), or in the file) \(reason).",
                status: .usage)
        }
        // A URL may hold a password, and a credential may have been given in the wrong place.
        let text = SafeText.withoutCredentials(SafeText.visible(source.text))
        let value = text.isEmpty || text.contains("@") ? "" : " '\(text)'"
        return CommandFailure("Setting \(setting.rawValue)\(value) (\(source.place)) \(reason).", status: .usage)
    }
}

/// Collects faults in the settings, so that a person can correct all of them at once.
final class FaultList {
    private var faults: [CommandFailure]

    init(_ faults: [CommandFailure]) { self.faults = faults }

    var count: Int { faults.count }

    func add(_ fault: CommandFailure) {
        if !faults.contains(fault) { faults.append(fault) }
    }

    /// - Returns: the value; nil when `body` returned none or threw, which adds a fault.
    func value<Value>(_ body: () throws -> Value?) -> Value? {
        do {
            return try body()
        } catch let fault as CommandFailure {
            add(fault)
        } catch {
            add(CommandFailure("The settings cannot be read: \(type(of: error)).", status: .usage))
        }
        return nil
    }

    /// - Throws: one ``CommandFailure`` that lists all faults, if there are any.
    func throwAll() throws(CommandFailure) {
        guard let first = faults.first else { return }
        guard faults.count > 1 else { throw first }
        let lines = faults.map { "\n  - \($0.message)" }.joined()
        throw CommandFailure("\(faults.count) things are wrong with the settings:\(lines)", status: first.status)
    }
}
