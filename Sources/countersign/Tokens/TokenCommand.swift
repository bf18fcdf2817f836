import ArgumentParser

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "OAuth access tokens.",
        discussion: """
            Example:
              countersign token issue --client 3bN0vYq7LkT --expires-in 1h
            """,
        subcommands: [TokenIssue.self, TokenRevoke.self])
}
