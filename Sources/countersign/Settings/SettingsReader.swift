import Configuration
import Foundation
import SystemPackage

/// Settings from flags, environment and file, in this order. A value of the wrong type is an error, not an absence.
struct SettingsReader: Sendable {
    private let reader: ConfigReader
    private let inFile: Set<Setting>
    private let inEnvironment: Set<Setting>

    init(flags: [Setting: ConfigContent], file: String?) async throws {
        let environment = ProcessInfo.processInfo.environment
        inEnvironment = Set(Setting.allCases.filter { environment[$0.variable] != nil })
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        for (setting, content) in flags {
            values[AbsoluteConfigKey(setting.rawValue.split(separator: ".").map(String.init))] = ConfigValue(
                content, isSecret: false)
        }
        var providers: [any ConfigProvider] = [
            InMemoryProvider(name: "flags", values: values),
            EnvironmentVariablesProvider().prefixKeys(with: "countersign"),
        ]
        if let file {
            inFile = try SettingsFile.check(file)
            if file.hasSuffix(".json") {
                providers.append(try await FileProvider<JSONSnapshot>(filePath: FilePath(file)))
            } else {
                providers.append(try await FileProvider<YAMLSnapshot>(filePath: FilePath(file)))
            }
        } else {
            inFile = []
        }
        reader = ConfigReader(providers: providers)
    }

    func text(_ setting: Setting) throws -> String? {
        try value(setting) { reader.string(forKey: ConfigKey(stringLiteral: setting.rawValue)) }
    }

    func list(_ setting: Setting) throws -> [String]? {
        try value(setting) { reader.stringArray(forKey: ConfigKey(stringLiteral: setting.rawValue)) }
    }

    func truth(_ setting: Setting) throws -> Bool? {
        try value(setting) { reader.bool(forKey: ConfigKey(stringLiteral: setting.rawValue)) }
    }

    func number(_ setting: Setting, from least: Int = 0, to most: Int = Int.max) throws -> Int? {
        let number = try value(setting) { reader.int(forKey: ConfigKey(stringLiteral: setting.rawValue)) }
        guard let number else { return nil }
        guard number >= least, number <= most else {
            throw fault(setting, most == Int.max ? "must be at least \(least)" : "must be \(least) to \(most)")
        }
        return number
    }

    /// The reader answers nil both for an absent value and for one of the wrong type.
    private func value<Value>(_ setting: Setting, _ read: () -> Value?) throws -> Value? {
        if let value = read() { return value }
        guard !inFile.contains(setting), !inEnvironment.contains(setting) else {
            throw fault(setting, "must be \(setting.kind.rawValue)")
        }
        return nil
    }

    func fault(_ setting: Setting, _ reason: String) -> CommandFailure {
        CommandFailure(
            "Setting \(setting.rawValue) (as a flag where there is one, \(setting.variable), or in the file) \(reason).",
            status: .usage)
    }
}
