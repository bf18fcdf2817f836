import AdministrationAPI
import ArgumentParser

struct KeyRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Make a successor of a key with the same rights.",
        discussion: """
            The old key goes on working until the overlap ends. 'countersign key revoke' ends it before.

            Example:
              countersign key rotate 0Fz8kQ2mXbA --overlap 24h
            """)

    @Argument(help: "The id of the key.")
    var id: String

    @Option(help: ArgumentHelp("How long the old key goes on working; 0 ends it at once.", valueName: "duration"))
    var overlap = DurationArgument(seconds: RotationRequest.overlapSecondsDefault)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func validate() throws { try IDArguments.check([id]) }

    func run() async throws {
        let request = RotationRequest(overlapSeconds: overlap.seconds)
        try await control.withConnection { connection in
            let rotated: KeyRotated = try await connection.send(.POST, "/v1/keys/\(id)/rotation", body: request)
            try Console.showOnce(Self.newborn(rotated)) {
                if output.json { return try Console.json(rotated) }
                var list = KeyCreate.fields(rotated.created)
                list.add("replaces", rotated.predecessor)
                list.add("which ends", rotated.predecessorSunset.map(TimeText.utc))
                try Console.line(list.render())
            }
            if !output.json { Console.error("Store the key now: it is not shown again.") }
        }
    }

    private static func newborn(_ rotated: KeyRotated) -> Newborn {
        let id = rotated.created.id
        let old = rotated.predecessor.map { old in
            rotated.predecessorSunset.map { " The old key \(old) works until \(TimeText.utc($0))." }
                ?? " The old key \(old) may have ended."
        }
        return Newborn(
            loss: "The key \(id) is made, and its secret is lost.",
            remedy: "End it: countersign key revoke \(id), or make another: countersign key rotate \(id) --overlap 0."
                + (old ?? ""))
    }
}
