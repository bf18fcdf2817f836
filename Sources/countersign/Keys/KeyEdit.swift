import AdministrationAPI
import ArgumentParser
import CredentialModel
import Foundation

struct KeyEditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit", abstract: "Change a key. What is not named stays.",
        discussion: """
            The owner of a key never changes: make a new key for another owner.

            Example:
              countersign key edit 0Fz8kQ2mXbA --scope "orders:read" --expires-in 30d
            """)

    @Argument(help: "The id of the key.")
    var id: String

    @Option(help: ArgumentHelp("A new name.", valueName: "name"))
    var name: String?

    @Flag(help: "Take the name away.")
    var noName = false

    @Option(help: ArgumentHelp("A new description.", valueName: "text"))
    var description: String?

    @Flag(help: "Take the description away.")
    var noDescription = false

    @Option(help: ArgumentHelp("A new scope; \"\" takes all of it away.", valueName: "scope"))
    var scope: ScopeArgument?

    @Option(help: ArgumentHelp("The new audiences. Can be repeated.", valueName: "uri"))
    var audience: [String] = []

    @Flag(help: "Take the audiences away: the key is for every service.")
    var noAudience = false

    @Option(help: ArgumentHelp("The new networks. Can be repeated.", valueName: "cidr"))
    var network: [String] = []

    @Flag(help: "Take the networks away: the key works from everywhere.")
    var noNetwork = false

    @Option(help: ArgumentHelp("Ends so long from now: 90d, 24h, 15m, 30s.", valueName: "duration"))
    var expiresIn: DurationArgument?

    @Option(help: ArgumentHelp("Ends at this time: RFC 3339 or Unix seconds.", valueName: "time"))
    var expiresAt: TimeArgument?

    @Flag(help: "Never ends.")
    var noExpiry = false

    @Option(help: ArgumentHelp("Begins at this time: RFC 3339 or Unix seconds.", valueName: "time"))
    var notBefore: TimeArgument?

    @Flag(help: "Has begun already.")
    var noNotBefore = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func validate() throws {
        try IDArguments.check([id])
        try Self.atMostOne([name != nil, noName], of: "--name and --no-name")
        try Self.atMostOne([description != nil, noDescription], of: "--description and --no-description")
        try Self.atMostOne([!audience.isEmpty, noAudience], of: "--audience and --no-audience")
        try Self.atMostOne([!network.isEmpty, noNetwork], of: "--network and --no-network")
        try Self.atMostOne(
            [expiresIn != nil, expiresAt != nil, noExpiry], of: "--expires-in, --expires-at and --no-expiry")
        try Self.atMostOne([notBefore != nil, noNotBefore], of: "--not-before and --no-not-before")
    }

    private static func atMostOne(_ given: [Bool], of names: String) throws {
        guard given.count(where: \.self) <= 1 else { throw ValidationError("Give at most one of \(names).") }
    }

    func run() async throws {
        let edit = edit(now: UnixSeconds(Int64(Date().timeIntervalSince1970)))
        // Not in `validate`, which comes before the parser complains of an option that it does not know.
        guard !edit.isEmpty else { throw CommandFailure("Say what to change: see --help.", status: .usage) }
        try await control.withConnection { connection in
            let key: CredentialResource = try await connection.send(.PATCH, "/v1/keys/\(id)", body: edit)
            try KeyShow.show(key, json: output.json)
        }
    }

    func edit(now: UnixSeconds) -> KeyEdit {
        var edit = KeyEdit(
            name: Self.edit(name, removes: noName), scope: scope?.words,
            audience: audience.isEmpty && !noAudience ? nil : audience,
            networks: network.isEmpty && !noNetwork ? nil : network,
            expiresAt: Self.edit(
                (expiresAt?.seconds ?? expiresIn.map { now.rawValue + $0.seconds }).map { UnixSeconds($0) },
                removes: noExpiry),
            notBefore: Self.edit(notBefore.map { UnixSeconds($0.seconds) }, removes: noNotBefore))
        edit.properties.description = Self.edit(description, removes: noDescription)
        return edit
    }

    private static func edit<Value>(_ value: Value?, removes: Bool) -> Value?? {
        value.map { .some($0) } ?? (removes ? .some(nil) : nil)
    }
}
