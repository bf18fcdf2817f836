import AdministrationAPI
import ArgumentParser
import CredentialModel
import Foundation
import NIOCore

struct KeyCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a key, or several.",
        discussion: """
            A key is shown once, when it is created. It is not stored.

            Example:
              countersign key create --owner acme --scope "a:read a:write" --expires-in 90d
            """)

    @Option(help: ArgumentHelp("Whom the key belongs to.", valueName: "owner"))
    var owner: String

    @Option(help: ArgumentHelp("Name of the key.", valueName: "name"))
    var name: String?

    @Option(help: ArgumentHelp("What the key is for, and whom to ask.", valueName: "text"))
    var description: String?

    @Option(help: ArgumentHelp("What the key may do: space-separated words.", valueName: "scope"))
    var scope: ScopeArgument?

    @Option(help: ArgumentHelp("A service that the key is for. Can be repeated.", valueName: "uri"))
    var audience: [String] = []

    @Option(
        help: ArgumentHelp("How long the key is valid: 90d, 24h, 15m, 30s.", valueName: "duration"),
        transform: DurationArgument.parse)
    var expiresIn: DurationArgument?

    @Option(
        help: ArgumentHelp("When it becomes valid: RFC 3339 or Unix seconds.", valueName: "time"),
        transform: TimeArgument.parse)
    var notBefore: TimeArgument?

    @Option(help: ArgumentHelp("A network that it may be used from. Can be repeated.", valueName: "cidr"))
    var network: [String] = []

    @Option(help: ArgumentHelp("How many keys to create.", valueName: "n"))
    var count = 1

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func validate() throws {
        guard (1...BulkKeyDownload.countMax).contains(count) else {
            throw ValidationError("--count must be 1 to \(BulkKeyDownload.countMax).")
        }
        guard count <= KeyRequest.countMax || output.json else {
            throw ValidationError(
                "--count over \(KeyRequest.countMax) needs --json: one line a key, for a file or a pipe.")
        }
    }

    func run() async throws {
        let request = KeyRequest(
            owner: owner, name: name, description: description, scope: scope?.words ?? [], audience: audience,
            networks: network, expiresInSeconds: expiresIn?.seconds,
            notBefore: notBefore.map { UnixSeconds($0.seconds) }, count: count)
        try await control.withConnection { connection in
            guard count <= KeyRequest.countMax else {
                return try await BulkKeyDownload(connection: connection, request: request).run()
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

    /// The answer is the only copy of the secrets, and it was not read.
    private static func lost(_ count: Int, _ failure: CommandFailure) -> CommandFailure {
        let loss =
            count == 1
            ? "The key may have been made, and its secret" : "The keys may have been made, and their secrets"
        return CommandFailure(
            "\(failure.message) \(loss) would be lost. List the keys of this owner (countersign key list --owner) and "
                + "revoke those that you do not have.", status: failure.status)
    }

    /// Prints new keys, which cannot be shown again.
    private static func show(_ keys: [KeyCreated], json: Bool) throws {
        let ids = keys.map(\.id).joined(separator: " ")
        let unprinted =
            keys.count == 1
            ? UnprintedSecret(
                loss: "The key \(ids) is made, and its secret is lost.", remedy: "End it: countersign key revoke \(ids)"
            )
            : UnprintedSecret(
                loss: "\(keys.count) keys are made, and their secrets are lost.",
                remedy: "End them: countersign key revoke \(ids)")
        try Console.showOnce(ifLost: unprinted) {
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

    fileprivate static func fields(_ key: KeyCreated) -> FieldList {
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

/// Creates more keys than one answer holds, and prints them line by line as they arrive.
private struct BulkKeyDownload {
    /// The most that one command creates.
    static let countMax = 100_000_000

    let connection: ControlConnection
    let request: KeyRequest

    /// Prints each key when it arrives, one JSON object a line, in no particular order.
    /// - Throws: ``CommandFailure`` that says how many were printed, and what to do about others that may exist.
    func run() async throws {
        let count = request.count ?? 1
        var progress = ProgressBar("creating")
        defer { progress.finish() }
        var lines = WholeLines()
        var printed = 0
        do {
            try await connection.download(.POST, "/v1/keys/bulk", body: request) { piece, _ in
                let whole = lines.take(piece)
                do {
                    try Console.write(whole)
                } catch let failure as CommandFailure {
                    // These keys exist although they cannot be printed.
                    throw CommandFailure(failure.message, status: failure.status, mayBeDone: true)
                }
                printed += whole.count { $0 == 0x0A }
                progress.update(done: printed, of: count)
            }
            guard printed == count else { throw CommandFailure("The answer ended too early.", mayBeDone: true) }
        } catch is OutputClosed {
            throw CommandFailure(
                "\(OutputClosed.sentence) \(printed) of \(count) keys were written to it, and perhaps not all were read. "
                    + Self.remedy)
        } catch let failure as CommandFailure where failure.mayBeDone {
            throw CommandFailure(
                "\(failure.message) \(printed) of \(count) keys are printed. \(Self.remedy)", status: failure.status)
        }
    }

    private static let remedy =
        "Some thousand more may have been made, and their secrets would be lost. List the keys of this owner (countersign "
        + "key list --owner) and revoke those that you do not have."
}

struct KeyRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Create a successor of a key, with the same rights.",
        discussion: """
            The old key works until the overlap ends. 'countersign key revoke' ends it earlier.

            Example:
              countersign key rotate 0Fz8kQ2mXbA --overlap 24h
            """)

    @Argument(help: "The id of the key.")
    var id: String

    @Option(
        help: ArgumentHelp(
            "How long the old key still works: 24h, 15m; 0 ends it at once (default: \(RotationRequest.overlapDefaultText)).",
            valueName: "duration"), transform: DurationArgument.parse)
    var overlap = DurationArgument(seconds: RotationRequest.overlapSecondsDefault)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func validate() throws { try IDArguments.check([id]) }

    func run() async throws {
        let request = RotationRequest(overlapSeconds: overlap.seconds)
        try await control.withConnection { connection in
            let rotated: KeyRotated = try await connection.send(.POST, "/v1/keys/\(id)/rotation", body: request)
            try Console.showOnce(ifLost: Self.unprinted(rotated)) {
                if output.json { return try Console.json(rotated) }
                var list = KeyCreate.fields(rotated.created)
                list.add("replaces", rotated.predecessor)
                list.add("which ends", rotated.predecessorSunset.map(TimeText.utc))
                try Console.line(list.render())
            }
            if !output.json { Console.error("Store the key now: it is not shown again.") }
        }
    }

    private static func unprinted(_ rotated: KeyRotated) -> UnprintedSecret {
        let id = rotated.created.id
        let old = rotated.predecessor.map { old in
            rotated.predecessorSunset.map { " The old key \(old) works until \(TimeText.utc($0))." }
                ?? " The old key \(old) may have ended."
        }
        return UnprintedSecret(
            loss: "The key \(id) is made, and its secret is lost.",
            remedy: "End it: countersign key revoke \(id), or make another: countersign key rotate \(id) --overlap 0."
                + (old ?? ""))
    }
}

extension RotationRequest {
    /// For help texts: the parser shows no default of an option that is read by `transform`.
    static var overlapDefaultText: String { DurationArgument.text(overlapSecondsDefault) }
}
