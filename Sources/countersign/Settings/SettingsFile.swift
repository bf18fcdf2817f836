import Configuration
import CredentialModel
import Foundation
import Yams

/// What a settings file says, with the line of each entry. JSON is read as the YAML that it is.
struct SettingsFile {
    /// The values in the form that ``SettingsReader`` takes: numbers as texts, since they may have a unit.
    private(set) var values: [Setting: ConfigContent] = [:]
    private(set) var lines: [Setting: Int] = [:]
    /// What is wrong with single entries.
    private(set) var faults: [String] = []
    /// Entries under names of earlier versions.
    private(set) var notes: [String] = []
    private let path: String

    /// - Throws: ``CommandFailure`` when the file cannot be read at all.
    init(_ path: String) throws(CommandFailure) {
        self.path = path
        guard let root = try YAMLFile.read(path, "settings file") else { return }
        guard let entries = root.mapping else {
            throw CommandFailure(
                "The settings file '\(path)' must hold names and values, as 'listen: …'.", status: .usage)
        }
        add(entries, prefix: "")
    }

    private mutating func add(_ entries: Node.Mapping, prefix: String) {
        for (key, value) in entries {
            let line = (key.mark ?? value.mark)?.line ?? 0
            guard let word = key.scalar?.string else {
                fault(line, "a name must be a text")
                continue
            }
            let name = prefix + word
            if let nested = value.mapping {
                add(nested, prefix: name + ".")
            } else if let setting = Setting.named(name) {
                take(value, for: setting, as: name, line)
            } else {
                let known = Setting.allCases.map(\.rawValue)
                fault(line, Setting.unknown(name, nearest: NearNames.nearest(to: name, among: known)))
            }
        }
    }

    private mutating func take(_ value: Node, for setting: Setting, as name: String, _ line: Int) {
        guard lines.updateValue(line, forKey: setting) == nil else {
            return fault(line, "'\(setting.rawValue)' stands here a second time")
        }
        if name != setting.rawValue {
            notes.append("In '\(path)', line \(line): '\(name)' is now written '\(setting.rawValue)'.")
        }
        if let content = Self.content(value, setting.kind) {
            values[setting] = content
        } else {
            fault(line, "'\(setting.rawValue)' must be \(setting.kind.rawValue)")
        }
    }

    private static func content(_ value: Node, _ kind: Setting.Kind) -> ConfigContent? {
        guard value.null == nil else { return nil }
        switch kind {
        case .text: return value.scalar.map { .string($0.string) }
        case .truth: return value.bool.map { .bool($0) }
        case .number, .seconds, .bytes: return value.scalar.map { .string(value.int.map { String($0) } ?? $0.string) }
        case .list:
            // One text is a list of one.
            if let single = value.scalar { return .stringArray([single.string]) }
            guard let items = value.sequence?.map({ $0.null == nil ? $0.scalar?.string : nil }) else { return nil }
            let texts = items.compactMap { $0 }
            return texts.count == items.count ? .stringArray(texts) : nil
        }
    }

    private mutating func fault(_ line: Int, _ reason: String) {
        faults.append("In '\(path)', line \(line): \(reason).".replacing("?.", with: "?"))
    }
}

/// Reads YAML, and says of what is none in which line.
enum YAMLFile {
    /// - Returns: nil for an empty file.
    static func read(_ path: String, _ what: String) throws(CommandFailure) -> Node? {
        var text = try TextFile.read(path, what)
        // Some editors begin a file with the byte order mark, which is no part of what it says (YAML 1.2.2 §5.2).
        if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
        do {
            return try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw CommandFailure("In the \(what) '\(path)'\(reason(error))", status: .usage)
        } catch {
            throw CommandFailure("The \(what) '\(path)' is neither YAML nor JSON.", status: .usage)
        }
    }

    /// The parser's own words are for those who know its insides.
    private static func reason(_ error: YamlError) -> String {
        switch error {
        case .scanner(_, _, let mark, _), .parser(_, _, let mark, _), .composer(_, _, let mark, _):
            ", line \(mark.line), column \(mark.column): this is no YAML. Check the indentation (no tabs), quotes and brackets."
        case .duplicatedKeysInMapping(let names, let context):
            ", line \(context.mark.line): \(names.map { "'\(SafeText.visible($0))'" }.joined(separator: ", ")) stands twice."
        default: " something is neither YAML nor JSON."
        }
    }
}
