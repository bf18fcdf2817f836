import ArgumentParser
import Foundation

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the daemon; creates the store if there is none.",
        discussion: """
            Example:
              countersign serve --store /var/lib/countersign --listen http://127.0.0.1:8080 --issuer https://id.example

            Settings come from flags, then COUNTERSIGN_… variables, then the file. SIGTERM drains and ends, SIGHUP reads
            certificate and policies anew. The log goes to standard error, one JSON object a line.
            """)

    @OptionGroup var options: ServeOptions

    func run() async throws {
        let settings = try await options.settings()
        let report = await StartChecks(settings: settings).run()
        // A port that is taken waits for the other process to end: worth another try, unlike a mistake in the settings.
        try Self.require(report.faults + report.taken, "keep the service from starting")
        try await Daemon(settings: settings).run()
    }

    /// - Throws: one ``CommandFailure`` with all of them.
    static func require(
        _ faults: [String], _ what: String, status: CommandStatus = .failed
    ) throws(CommandFailure) {
        guard let first = faults.first else { return }
        guard faults.count > 1 else { throw CommandFailure(first, status: status) }
        throw CommandFailure(
            "\(faults.count) things \(what):" + faults.map { "\n  - \($0)" }.joined(), status: status)
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
        commandName: "check", abstract: "Check everything that serve would need, and change nothing.",
        discussion: """
            Says everything that is wrong at once: names, values and types with their lines, files, folders, groups and
            addresses. An address that another process has is no mistake: it may be the running service. Run it as the user
            that the service runs as. Exits with 2 when something is wrong.

            Example:
              countersign config check --config /etc/countersign.yaml
            """)

    @Flag(help: "Check the settings only, and not this machine: for a machine that they are not meant for.")
    var settingsOnly = false

    @OptionGroup var options: ServeOptions

    func run() async throws {
        var faults: [String] = Variables(ProcessInfo.processInfo.environment).unknown
            .map { "In the environment: \($0).".replacing("?.", with: "?") }
        let settings: ServeSettings
        do {
            settings = try await options.settings()
        } catch let failure as CommandFailure where !faults.isEmpty {
            throw CommandFailure(([failure.message] + faults).joined(separator: "\n"), status: .usage)
        }
        let report = settingsOnly ? StartChecks.Report() : await StartChecks(settings: settings).run()
        faults += report.faults
        try ServeCommand.require(faults, "are wrong", status: .usage)
        for note in settings.notes + report.taken.map({ "Now: \($0)" }) { Console.error(note) }
        try Console.line("The settings are good. Store: \(settings.storePath), pepper file: \(settings.pepperPath),")
        try Console.line("listeners: \(settings.listeners.map(\.description).joined(separator: ", ")).")
    }
}
