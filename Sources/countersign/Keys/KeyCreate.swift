import AdministrationAPI
import ArgumentParser
import CredentialModel

struct KeyCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a key, or several.",
        discussion: """
            A key is shown once, when it is made; it is not stored.

            Example:
              countersign key create --owner acme --scope "a:read a:write" --expires-in 90d
            """)

    @Option(help: ArgumentHelp("Who the key belongs to.", valueName: "owner"))
    var owner: String

    @Option(help: ArgumentHelp("What the key is called.", valueName: "name"))
    var name: String?

    @Option(help: ArgumentHelp("What the key is for, and whom to ask.", valueName: "text"))
    var description: String?

    @Option(help: ArgumentHelp("What the key may do: words with spaces between.", valueName: "scope"))
    var scope: ScopeArgument?

    @Option(help: ArgumentHelp("A service that the key is for. Can be repeated.", valueName: "uri"))
    var audience: [String] = []

    @Option(help: ArgumentHelp("How long the key lives: 90d, 24h, 15m, 30s.", valueName: "duration"))
    var expiresIn: DurationArgument?

    @Option(help: ArgumentHelp("When it begins to work: RFC 3339 or Unix seconds.", valueName: "time"))
    var notBefore: TimeArgument?

    @Option(help: ArgumentHelp("Addresses that it may be used from. Can be repeated.", valueName: "cidr"))
    var network: [String] = []

    @Option(help: ArgumentHelp("How many keys to make.", valueName: "n"))
    var count = 1

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func validate() throws {
        guard (1...ManyKeys.countMax).contains(count) else {
            throw ValidationError("--count must be 1 to \(ManyKeys.countMax).")
        }
        guard count <= KeyRequest.countMax || output.json else {
            throw ValidationError(
                "--count over \(KeyRequest.countMax) needs --json: one line a key, for a file or a pipe.")
        }
    }

    func run() async throws {
        var request = KeyRequest(
            owner: owner, name: name, scope: scope?.words ?? [], audience: audience, networks: network,
            expiresInSeconds: expiresIn?.seconds, notBefore: notBefore.map { UnixSeconds($0.seconds) }, count: count)
        request.properties.description = description.map { .some($0) }
        try await control.withConnection { connection in
            guard count <= KeyRequest.countMax else {
                return try await ManyKeys(connection: connection, request: request).run()
            }
            let created: KeysCreated
            do {
                created = try await connection.send(.POST, "/v1/keys", body: request)
            } catch let failure as CommandFailure where failure.mayBeDone {
                throw Self.lost(count, failure)
            }
            try Self.show(created.items, json: output.json)
        }
    }

    /// The answer was not read, which is the only place where the texts of the keys stand.
    private static func lost(_ count: Int, _ failure: CommandFailure) -> CommandFailure {
        let loss =
            count == 1 ? "The key may have been made, and its text" : "The keys may have been made, and their texts"
        return CommandFailure(
            "\(failure.message) \(loss) would be lost: list the keys of this owner (countersign key list --owner) and "
                + "revoke what you do not have.", status: failure.status)
    }

    /// Prints newborn keys: the only time that they can be seen.
    static func show(_ keys: [KeyCreated], json: Bool) throws {
        let ids = keys.map(\.id).joined(separator: " ")
        let made =
            keys.count == 1
            ? Newborn(
                loss: "The key \(ids) is made, and its secret is lost.", remedy: "End it: countersign key revoke \(ids)"
            )
            : Newborn(
                loss: "\(keys.count) keys are made, and their secrets are lost.",
                remedy: "End them: countersign key revoke \(ids)")
        try Console.showOnce(made) {
            if json {
                for key in keys { try Console.json(key) }
            } else if keys.count == 1, let key = keys.first {
                try Console.line(fields(key).render())
            } else {
                var table = Table(["ID", "KEY"])
                for key in keys { table.add([key.id, key.key?.reveal()]) }
                try Console.line(table.render())
            }
        }
        guard !json else { return }
        Console.error(
            keys.count == 1
                ? "Store the key now: it is not shown again." : "Store the keys now: they are not shown again.")
    }

    static func fields(_ key: KeyCreated) -> FieldList {
        var list = FieldList()
        list.add("id", key.id)
        list.add("key", key.key?.reveal())
        list.add("owner", key.owner)
        list.add("name", key.name)
        list.add("scope", key.scope.description)
        list.add("audience", key.audience.joined(separator: " "))
        list.add("not before", key.notBefore.map(TimeText.utc))
        list.add("expires", key.expiresAt.map(TimeText.utc) ?? "never")
        return list
    }
}
