import CMachine
import CredentialModel
import Glibc

/// The arguments and environment of this process: bytes that nobody has checked yet.
///
/// `CommandLine.arguments` and `ProcessInfo.environment` put U+FFFD in place of bytes that are not UTF-8, so two different
/// owners could become one. Here such a text is an error that names its place.
enum ProcessText {
    /// The arguments after the program's name.
    /// - Throws: ``CommandFailure`` that names the first one that is not UTF-8.
    static func arguments() throws(CommandFailure) -> [String] {
        var arguments: [String] = []
        // Not `CommandLine`: it is empty where /proc is not mounted.
        for index in Int32(1)... {
            // SAFETY: an argument ends with a zero, and is unchanged while the process lives.
            guard let bytes = unsafe cs_argument(index) else { break }
            guard let text = unsafe String(validatingCString: bytes) else {
                throw CommandFailure(
                    "Argument \(index) is not well-formed UTF-8. Set the terminal or script to UTF-8.", status: .usage)
            }
            arguments.append(text)
        }
        return arguments
    }

    /// Checks the variables that this program reads. After it, Foundation's copies of them are exact.
    /// - Throws: ``CommandFailure`` for a variable that is not UTF-8, and for a path that is empty.
    static func checkEnvironment() throws(CommandFailure) {
        for name in Setting.allCases.map(\.variable) + Variables.others + ["NOTIFY_SOCKET"] {
            // SAFETY: nothing in this process changes the environment, so the text stays valid.
            guard let bytes = unsafe getenv(name) else { continue }
            guard let text = unsafe String(validatingCString: bytes) else {
                throw CommandFailure("The environment variable \(name) is not well-formed UTF-8.", status: .usage)
            }
            try check(text, of: name)
        }
    }

    /// Variables that commands other than `serve` take as paths. `serve` checks its own with all other settings.
    private static let paths =
        [Setting.store.variable, Setting.storeLog.variable, Setting.pepperFile.variable] + Variables.others

    static func check(_ text: String, of name: String) throws(CommandFailure) {
        guard PathText.isBlank(text), paths.contains(name) else { return }
        throw CommandFailure("The environment variable \(name) is empty. Give it a path, or unset it.", status: .usage)
    }
}

/// The `COUNTERSIGN_…` variables of an environment.
struct Variables {
    private(set) var values: [Setting: String] = [:]
    /// Sentences about names of earlier versions, which are still accepted.
    private(set) var notes: [String] = []
    /// Sentences about variables that look like settings and are none: most likely mistyped.
    private(set) var unknown: [String] = []

    /// Variables that are no settings of `serve` and are read by the other commands.
    static let others = ["COUNTERSIGN_CONTROL_KEY_FILE", ControlOptions.variable]

    init(_ environment: [String: String]) {
        for (name, text) in environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix(Setting.variablePrefix) {
            if let setting = Setting.ofVariable(name) {
                if name != setting.variable { notes.append("\(name) is now called \(setting.variable).") }
                // Where both names are set, the current one counts.
                if name == setting.variable || environment[setting.variable] == nil { values[setting] = text }
            } else if !Self.others.contains(name), !Self.isServiceLink(name) {
                let known = Setting.allCases.map(\.variable) + Self.others
                unknown.append(Setting.unknown(name, nearest: NearNames.nearest(to: name, among: known)))
            }
        }
    }

    /// Whether Kubernetes set this variable. It describes each service of a namespace to every container by variables: a
    /// service `countersign` gives `COUNTERSIGN_SERVICE_HOST`, `COUNTERSIGN_PORT_8080_TCP_ADDR` and others.
    private static func isServiceLink(_ name: String) -> Bool {
        name.wholeMatch(
            of:
                /COUNTERSIGN(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)/
        ) != nil
    }
}
