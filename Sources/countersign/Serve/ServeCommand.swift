import AdministrationAPI
import ArgumentParser
import Configuration
import Foundation

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the daemon. Creates the store if there is none.",
        discussion: """
            Example:
              countersign serve --store /var/lib/countersign --listen http://127.0.0.1:8080 --issuer https://id.example

            Precedence: flag, then COUNTERSIGN_… variable, then settings file. SIGTERM ends the service after the requests that
            have begun, SIGHUP reads certificate, policies and what is logged again. The log goes to standard error, one JSON object a line.
            """)

    @OptionGroup var options: ServeOptions

    func run() async throws {
        let settings = try await options.settings()
        let report = await StartChecks(settings: settings).run()
        // Exit code 3 also for a port in use, and not 2: unlike a mistake in the settings, it may be free at the next try.
        try Self.require(report.faults + report.taken, "keep the service from starting")
        try await Daemon(settings: settings, reread: options.rereading).run()
    }

    /// - Throws: one ``CommandFailure`` with all faults, if there are any.
    fileprivate static func require(
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
        commandName: "check", abstract: "Check everything that serve needs, and change nothing.",
        discussion: """
            Reports all mistakes at once: names, values and types with their lines, files, folders, groups and addresses. An
            address that another process uses is no mistake, since that may be the running service. Run it as the user that
            the service runs as. Exits with 2 when something is wrong.

            Example:
              countersign config check --config /etc/countersign.yaml
            """)

    @Flag(help: "Check only the settings, not this machine: for settings of another machine.")
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

struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health", abstract: "Report whether the daemon is ready.",
        discussion: """
            Exits with 0 when it is, and with 3 when it is not or does not run. For health checks of containers.

            Example:
              countersign health --control unix:/run/countersign/control.sock
            """)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    func run() async throws {
        try await control.withDaemon { connection in
            let health: HealthResource = try await connection.send(.GET, "/readyz")
            if output.json { try Console.json(health) } else { try Console.line(health.status) }
        }
    }
}

/// The flags of `serve` and `config check`. Each except `--config` is also a setting of the environment and the file.
struct ServeOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Settings file, YAML or JSON.", valueName: "file"), transform: PathText.argument)
    var config: String?

    @Option(help: ArgumentHelp("Folder of the store (default: ./countersign-data).", valueName: "dir"))
    var store: String?

    @Option(
        help: ArgumentHelp("The two letters that a new store's credentials begin with (default: ii).", valueName: "ii"))
    var vendor: String?

    @Option(
        help: ArgumentHelp(
            "Where to serve: http://HOST:PORT on loopback, https://HOST:PORT, or unix:PATH[?mode=0660&group=G&may=introspect|changes]. Repeatable (default: http://127.0.0.1:8080).",
            valueName: "url"))
    var listen: [String] = []

    @Option(
        help: ArgumentHelp(
            "Where to serve Envoy's external authorization over gRPC: grpc+unix:PATH[?mode=0660&group=G] or grpcs://HOST:PORT; ?policy=NAME is for routes that name none. Repeatable.",
            valueName: "url"))
    var grpcListen: [String] = []

    @Option(
        help: ArgumentHelp(
            "Where to serve administration: unix:PATH (default: unix:DIR/control.sock); and, with the OAuth endpoints, http://HOST:PORT on loopback or https://HOST:PORT. Repeatable.",
            valueName: "url"))
    var controlListen: [String] = []

    @Option(
        help: ArgumentHelp("Where to serve probes and metrics only, in cleartext and to anybody.", valueName: "url"))
    var healthListen: String?

    @Option(
        help: ArgumentHelp(
            "Issuer in answers (iss): the address by which OAuth clients know this service.", valueName: "url"))
    var issuer: String?

    @Option(help: ArgumentHelp("Public address of the introspection endpoint.", valueName: "url"))
    var introspectionURL: String?

    @Option(help: ArgumentHelp("Your application that signs people in and asks for their consent.", valueName: "url"))
    var loginURL: String?

    @Flag(help: "Serve a sign-in that accepts everybody as anybody, to try the flows out (loopback only).")
    var demoLogin = false

    @Option(help: ArgumentHelp("File of the policies that /ext_authz and policy= name.", valueName: "file"))
    var policies: String?

    @Flag(help: "Serve the administration page, /admin, on the network addresses of the control plane.")
    var adminPage = false

    @Option(
        help: ArgumentHelp("Number of event loops (default: processors that this process may use).", valueName: "n"))
    var threads: Int?

    @Option(help: ArgumentHelp("File of the peppers (default: DIR.pepper).", valueName: "file"))
    var pepperFile: String?

    @Option(
        help: ArgumentHelp(
            "Be a node of a fleet: etcd://HOST:PORT,HOST:PORT,HOST:PORT/FLEET?ca=FILE&cert=FILE&key=FILE (see 'countersign cluster').",
            valueName: "url"))
    var cluster: String?

    @Option(help: ArgumentHelp("The name of this node (default: that of the machine).", valueName: "name"))
    var node: String?

    @Option(help: ArgumentHelp("Certificate of the https and grpcs listeners with its chain, PEM.", valueName: "file"))
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("Private key of the certificate, PEM.", valueName: "file"))
    var tlsKey: String?

    @Option(help: ArgumentHelp("Certificate authority for client certificates, PEM.", valueName: "file"))
    var tlsClientCA: String?

    /// The flags that were given, by setting.
    private var flags: [Setting: ConfigContent] {
        var flags: [Setting: ConfigContent] = [:]
        let texts: [(Setting, String?)] = [
            (.store, store), (.vendor, vendor), (.healthListen, healthListen), (.issuer, issuer),
            (.introspectionURL, introspectionURL), (.loginURL, loginURL), (.pepperFile, pepperFile),
            (.tlsCertificate, tlsCertificate), (.policies, policies),
            (.tlsKey, tlsKey), (.tlsClientCA, tlsClientCA), (.cluster, cluster), (.clusterNode, node),
        ]
        for (setting, text) in texts { flags[setting] = text.map { .string($0) } }
        if adminPage { flags[.adminPage] = .bool(true) }
        if demoLogin { flags[.demoLogin] = .bool(true) }
        if let threads { flags[.threads] = .int(threads) }
        if !listen.isEmpty { flags[.listen] = .stringArray(listen) }
        if !grpcListen.isEmpty { flags[.grpcListen] = .stringArray(grpcListen) }
        if !controlListen.isEmpty { flags[.controlListen] = .stringArray(controlListen) }
        return flags
    }

    func settings() async throws -> ServeSettings { try await rereading() }

    /// Reads the settings anew each time it is called.
    var rereading: @Sendable () async throws -> ServeSettings {
        let (flags, file) = (flags, config)
        return { try await ServeSettings.read(flags: flags, file: file) }
    }
}
