import ArgumentParser

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the daemon; creates the store if there is none.",
        discussion: """
            Example:
              countersign serve --store /var/lib/countersign --listen http://127.0.0.1:8080 --issuer https://id.example

            Settings come from flags, then COUNTERSIGN_… variables, then the file. SIGTERM drains and ends, SIGHUP reads
            the certificate anew. The log goes to standard error, one JSON object a line.
            """)

    @OptionGroup var options: ServeOptions

    func run() async throws {
        try await Daemon(settings: try await options.settings()).run()
    }
}

struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "The daemon's settings.",
        discussion: """
            Example:
              countersign config check --config /etc/countersign.yaml
            """,
        subcommands: [ConfigCheckCommand.self])
}

struct ConfigCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check the settings that serve would run with, and open nothing.",
        discussion: """
            Example:
              countersign config check --config /etc/countersign.yaml
            """)

    @OptionGroup var options: ServeOptions

    func run() async throws {
        let settings = try await options.settings()
        try Console.line("The settings are good. Store: \(settings.storePath), pepper file: \(settings.pepperPath),")
        try Console.line("listeners: \(settings.listeners.map(\.description).joined(separator: ", ")).")
    }
}
