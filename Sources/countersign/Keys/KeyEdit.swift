import AdministrationAPI
import ArgumentParser
import CredentialModel
import Foundation

struct KeyEditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit", abstract: "Change a key. What is not named stays as it is.",
        discussion: """
            The owner of a key never changes. Create a new key for another owner.

            Example:
              countersign key edit 0Fz8kQ2mXbA --scope "orders:read" --expires-in 30d
            """)

    @Argument(help: "The id of the key.")
    var id: String

    @Option(help: ArgumentHelp("A new name.", valueName: "name"))
    var name: String?

    @Flag(help: "Remove the name.")
    var noName = false

    @Option(help: ArgumentHelp("A new description.", valueName: "text"))
    var description: String?

    @Flag(help: "Remove the description.")
    var noDescription = false

    @Option(help: ArgumentHelp("The new scope: space-separated words; \"\" removes all of them.", valueName: "scope"))
    var scope: ScopeArgument?

    @Option(help: ArgumentHelp("A new audience, in place of all old ones. Can be repeated.", valueName: "uri"))
    var audience: [String] = []

    @Flag(help: "Remove the audiences: the key is for every service.")
    var noAudience = false

    @Option(help: ArgumentHelp("A new network, in place of all old ones. Can be repeated.", valueName: "cidr"))
    var network: [String] = []

    @Flag(help: "Remove the networks: the key works from everywhere.")
    var noNetwork = false

    @Option(
        help: ArgumentHelp("Expires after this time from now: 90d, 24h, 15m, 30s.", valueName: "duration"),
        transform: DurationArgument.parse)
    var expiresIn: DurationArgument?

    @Option(
        help: ArgumentHelp("Expires at this time: RFC 3339 or Unix seconds.", valueName: "time"),
        transform: TimeArgument.parse)
    var expiresAt: TimeArgument?

    @Flag(help: "Never expires.")
    var noExpiry = false

    @Option(
        help: ArgumentHelp("Becomes valid at this time: RFC 3339 or Unix seconds.", valueName: "time"),
        transform: TimeArgument.parse)
    var notBefore: TimeArgument?

    @Flag(help: "Is valid from now on.")
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
        // Not in `validate`: it runs before the parser looks for unknown options, and its error would hide theirs.
        guard !edit.isEmpty else { throw CommandFailure("Say what to change: see --help.", status: .usage) }
        try await control.withConnection { connection in
            let key: CredentialResource = try await connection.send(.PATCH, "/v1/keys/\(id)", body: edit)
            try KeyShow.show(key, json: output.json)
        }
    }

    func edit(now: UnixSeconds) -> KeyEdit {
        KeyEdit(
            name: noName ? .removed : MemberEdit(name),
            description: noDescription ? .removed : MemberEdit(description), scope: scope?.words,
            audience: audience.isEmpty && !noAudience ? nil : audience,
            networks: network.isEmpty && !noNetwork ? nil : network,
            expiresAt: noExpiry
                ? .removed
                : MemberEdit(
                    (expiresAt?.seconds ?? expiresIn.map { now.rawValue + $0.seconds }).map { UnixSeconds($0) }),
            notBefore: noNotBefore ? .removed : MemberEdit(notBefore.map { UnixSeconds($0.seconds) }))
    }
}
