import AdministrationAPI
import ArgumentParser
import CredentialStore

struct ClusterUpgrade: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upgrade", abstract: "Let the fleet write its log in the format of this version.",
        discussion: """
            After all nodes run the new version. Until then they write what the version before can apply, so that nodes can be \
            replaced one by one, and put back. Afterwards a node of the version before does not start. Refused while a node \
            does not know the format. Says so if there is nothing to do.

            Example:
              countersign cluster upgrade --control unix:/run/countersign/control.sock
            """)

    @Option(help: ArgumentHelp("The level, if not the newest that this version knows.", valueName: "number"))
    var level: UInt32?

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        let wanted = level ?? LogLevel.newest
        try await control.withDaemon { connection in
            let fleet: FleetResource = try await connection.send(.GET, "/v1/cluster")
            let level = fleet.level ?? LogLevel.first
            var raised = FleetLevel(level: level)
            // One by one, as the log wants it.
            while raised.level < wanted {
                raised = try await connection.send(
                    .POST, "/v1/cluster/level", body: FleetLevelRequest(level: raised.level + 1))
            }
            if output.json { return try Console.json(raised) }
            try Console.line(
                raised.level > level
                    ? "The log is written in level \(raised.level)."
                    : "Nothing to do: the log is written in level \(level).")
        }
    }
}
