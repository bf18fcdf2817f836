import ArgumentParser
import CredentialModel

/// The ids on a command line. What is no id may be a whole credential, pasted by mistake, and is not printed.
enum IDArguments {
    static func check(_ ids: [String]) throws {
        for (index, id) in ids.enumerated() where !isID(id) {
            throw ValidationError(
                "Argument \(index + 1) is not an id. An id is the 11 letters and digits after the first '_' of a key.")
        }
    }

    static func isID(_ text: String) -> Bool {
        CredentialID(text) != nil
    }
}

/// A scope as one argument: words with spaces between.
struct ScopeArgument: Equatable, Sendable, ExpressibleByArgument {
    let words: [String]

    init?(argument: String) {
        words = argument.split(separator: " ").map(String.init)
    }
}
