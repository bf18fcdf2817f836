import Configuration
import CredentialModel
import Foundation
import Yams

/// The entries of a settings file, with their lines. JSON is read as YAML, of which it is a subset.
struct SettingsFile {
    /// Numbers are texts, since they may have a unit.
    private(set) var values: [Setting: ConfigContent] = [:]
    private(set) var lines: [Setting: Int] = [:]
    /// Sentences about entries that are wrong.
    private(set) var faults: [String] = []
    /// Sentences about names of earlier versions.
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
            return fault(line, "'\(setting.rawValue)' is set a second time here")
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
            // A single text counts as a list of one.
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

/// Reads YAML files.
enum YAMLFile {
    /// - Parameter what: the kind of file, for the error: "settings file".
    /// - Returns: nil for an empty file.
    /// - Throws: ``CommandFailure`` that names the line where the file is no YAML.
    static func read(_ path: String, _ what: String) throws(CommandFailure) -> Node? {
        var text = try TextFile.read(path, what)
        // Some editors begin a file with a byte order mark, which is not part of its text (YAML 1.2.2 §5.2).
        if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
        do {
            return try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw CommandFailure("In the \(what) '\(path)'\(reason(error))", status: .usage)
        } catch {
            throw CommandFailure("The \(what) '\(path)' is neither YAML nor JSON.", status: .usage)
        }
    }

    /// The parser's own texts speak of scanners and tokens, which do not help to correct a file.
    private static func reason(_ error: YamlError) -> String {
        switch error {
        case .scanner(_, _, let mark, _), .parser(_, _, let mark, _), .composer(_, _, let mark, _):
            ", line \(mark.line), column \(mark.column): this is no YAML. Check the indentation (no tabs), quotes and brackets."
        case .duplicatedKeysInMapping(let names, let context):
            ", line \(context.mark.line): \(names.map { "'\(SafeText.visible($0))'" }.joined(separator: ", ")) is given twice."
        default: " something is neither YAML nor JSON."
        }
    }
}

/// Reads the small text files that settings name.
enum TextFile {
    /// More than any file of settings or policies needs.
    private static let bytesMax = 4 << 20

    /// - Parameter what: the kind of file, for the error: "settings file".
    /// - Throws: ``CommandFailure`` when the file is missing, not readable by this user, a folder, too long or not UTF-8.
    static func read(_ path: String, _ what: String) throws(CommandFailure) -> String {
        func failure(_ reason: String) -> CommandFailure {
            CommandFailure("The \(what) '\(path)' \(reason)", status: .usage)
        }
        let file: FileHandle
        do {
            file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        } catch {
            throw failure(reason(of: error))
        }
        let bytes: Data
        do {
            bytes = try file.read(upToCount: bytesMax + 1) ?? Data()
        } catch {
            throw failure(reason(of: error))
        }
        guard bytes.count <= bytesMax else { throw failure("has more than \(bytesMax) bytes. Is it the right file?") }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure("is not well-formed UTF-8. Save it as UTF-8.")
        }
        return text
    }

    /// The end of a sentence about a file that cannot be opened or read, and what to do.
    static func reason(of error: any Error) -> String {
        let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
        let code = (error as NSError).domain == NSPOSIXErrorDomain ? (error as NSError).code : underlying?.code
        return switch code.map(Int32.init(clamping:)) {
        case ENOENT, ENOTDIR: "does not exist. Check the path."
        case EACCES, EPERM: "may not be read by this user. Check its permissions and those of its folder."
        case EISDIR: "is a folder. Name a file."
        default: "cannot be read."
        }
    }
}
