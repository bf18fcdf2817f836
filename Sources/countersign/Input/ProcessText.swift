import Glibc

/// The texts that this process was started with: bytes that nobody has checked.
///
/// `CommandLine.arguments` and `ProcessInfo.environment` put U+FFFD in place of bytes that are not UTF-8, so two owners would
/// become one. Here such a text is an error that names its place.
enum ProcessText {
    /// The arguments behind the program's name.
    static func arguments() throws(CommandFailure) -> [String] {
        var arguments: [String] = []
        for index in 1..<max(1, Int(CommandLine.argc)) {
            // SAFETY: argv has argc entries, each NUL-terminated and unchanged while the process lives.
            guard let bytes = unsafe CommandLine.unsafeArgv[index] else { break }
            guard let text = unsafe String(validatingCString: bytes) else {
                throw CommandFailure(
                    "Argument \(index) is not well-formed UTF-8. Set the terminal or script to UTF-8.", status: .usage)
            }
            arguments.append(text)
        }
        return arguments
    }

    /// Checks the variables that this program reads: what Foundation says of them afterwards is what they are.
    static func checkEnvironment() throws(CommandFailure) {
        for name in Setting.allCases.map(\.variable) + Variables.others + ["NOTIFY_SOCKET"] {
            // SAFETY: nothing in this process changes the environment, so the text stays where it is.
            guard let bytes = unsafe getenv(name) else { continue }
            guard let text = unsafe String(validatingCString: bytes) else {
                throw CommandFailure("The environment variable \(name) is not well-formed UTF-8.", status: .usage)
            }
            try check(text, of: name)
        }
    }

    /// The variables that are paths to commands other than `serve`. Those of `serve` are checked with its other settings.
    private static let paths = [Setting.store.variable, Setting.pepperFile.variable] + Variables.others

    static func check(_ text: String, of name: String) throws(CommandFailure) {
        guard PathText.isBlank(text), paths.contains(name) else { return }
        throw CommandFailure("The environment variable \(name) is empty. Give it a path, or unset it.", status: .usage)
    }
}
