import AdministrationAPI
import ArgumentParser
import Issuance

struct PepperCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pepper", abstract: "The keys that credentials are hashed with.",
        discussion: """
            Credentials that are issued or used from now on are hashed with the newest pepper. An old one can be retired when
            no credential uses it any more.

            Example:
              countersign pepper list
            """,
        subcommands: [PepperCreate.self, PepperAdd.self, PepperListCommand.self, PepperRetire.self])
}

struct PepperAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Add a pepper; new credentials are hashed with it.",
        discussion: """
            Back up the pepper file afterwards: without it no credential can be verified.

            Example:
              countersign pepper add
            """)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        try await control.withConnection { connection in
            let pepper: PepperResource = try await connection.send(.POST, "/v1/peppers")
            if output.json { return try Console.json(pepper) }
            try Console.line("Pepper \(pepper.number) is added. New credentials are hashed with it.")
            Console.error("Back up the pepper file now.")
        }
    }
}

struct PepperListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the peppers by number.",
        discussion: """
            Example:
              countersign pepper list
            """)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        try await control.withConnection { connection in
            let list: PepperList = try await connection.send(.GET, "/v1/peppers")
            if output.json {
                for pepper in list.items { try Console.json(pepper) }
                return
            }
            var table = Table(["NUMBER", "NEWEST", "CREDENTIALS"])
            for pepper in list.items {
                table.add([String(pepper.number), pepper.isNewest ? "yes" : "no", String(pepper.records)])
            }
            try Console.line(table.render())
            if !list.hmacKeys.isEmpty {
                try Console.line("HMAC keys of other systems: " + list.hmacKeys.joined(separator: ", "))
            }
        }
    }
}

struct PepperRetire: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retire", abstract: "Retire a pepper that no credential uses any more.",
        discussion: """
            Example:
              countersign pepper retire 1
            """)

    @Argument(help: ArgumentHelp("The number of the pepper.", valueName: "number"))
    var number: Int

    @OptionGroup var control: ControlOptions

    func run() async throws {
        try await control.withConnection { connection in
            try await connection.sendWithoutAnswer(.DELETE, "/v1/peppers/\(number)")
            try Console.line("Pepper \(number) is retired.")
        }
    }
}

struct PepperCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a pepper file with new secrets.",
        discussion: """
            For a store that does not exist yet and whose pepper file is not to be beside it. Otherwise `serve` creates the
            file together with the store. An existing file is never overwritten.

            Example:
              countersign pepper create /etc/countersign/pepper
            """)

    @Argument(help: ArgumentHelp("File to create.", valueName: "file"), transform: PathText.argument)
    var file: String

    func run() async throws {
        do {
            _ = try PepperFileOnDisk.create(file)
        } catch {
            throw CommandFailure(error.message)
        }
        try Console.line("Wrote \(file), which only you can read. Back it up, apart from the store.")
    }
}
