import ArgumentParser

/// Paths from outside. An empty one is refused: the system takes it for the working directory, and a script whose variable
/// is not set would make a store, or look for one, where it happens to stand.
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
