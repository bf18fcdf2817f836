import Foundation
import Yams

/// What a settings file says, by dotted names. JSON is read as the YAML that it is.
enum SettingsFile {
    /// Names every entry that is no setting or has the wrong type: a mistyped name must not be passed over in silence.
    static func check(_ path: String) throws(CommandFailure) -> Set<Setting> {
        let text = try TextFile.read(path, "settings file")
        let root: Any?
        do {
            root = try Yams.load(yaml: text)
        } catch {
            throw CommandFailure("The settings file '\(path)' is neither YAML nor JSON.", status: .usage)
        }
        guard let root else { return [] }
        guard let entries = root as? [String: Any] else {
            throw CommandFailure("The settings file '\(path)' must hold names and values.", status: .usage)
        }
        var present: Set<Setting> = []
        var faults: [String] = []
        for (name, value) in flatten(entries) {
            guard let setting = Setting(rawValue: name) else {
                faults.append("'\(name)' is no setting")
                continue
            }
            present.insert(setting)
            if !fits(value, setting.kind) { faults.append("'\(name)' must be \(setting.kind.rawValue)") }
        }
        guard faults.isEmpty else {
            throw CommandFailure("In '\(path)': \(faults.sorted().joined(separator: "; ")).", status: .usage)
        }
        return present
    }

    private static func flatten(_ entries: [String: Any], prefix: String = "") -> [(String, Any)] {
        entries.flatMap { name, value -> [(String, Any)] in
            if let nested = value as? [String: Any] { return flatten(nested, prefix: "\(prefix)\(name).") }
            return [(prefix + name, value)]
        }
    }

    private static func fits(_ value: Any, _ kind: Setting.Kind) -> Bool {
        switch kind {
        case .text: value is String
        case .number: value is Int
        case .truth: value is Bool
        case .list: (value as? [Any])?.allSatisfy { $0 is String } ?? false
        }
    }
}
