import ArgumentParser

struct TokenRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revoke tokens.",
        discussion: """
            When the command returns, no reader of the node accepts them any more.

            Example:
              countersign token revoke 7RkP2nYw0Lc
            """)

    @Argument(help: "The ids of the tokens.")
    var ids: [String]

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func validate() throws { try IDArguments.check(ids) }

    func run() async throws {
        try await control.withConnection { connection in
            let revocation = Revocation(path: "/v1/tokens/revocations", ids: ids, chain: false)
            try await revocation.run(connection, json: output.json)
        }
    }
}
