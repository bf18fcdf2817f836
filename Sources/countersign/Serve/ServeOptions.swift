import ArgumentParser
import Configuration

/// The flags of `serve`. Every one is also a setting of the environment and of the file.
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
            "Where to serve Envoy's authorization over gRPC: grpc+unix:PATH[?mode=0660&group=G] or grpcs://HOST:PORT; ?policy=NAME holds where a route names none. Repeatable.",
            valueName: "url"))
    var grpcListen: [String] = []

    @Option(
        help: ArgumentHelp(
            "Socket of administration (default: unix:DIR/control.sock); and where the OAuth endpoints are served: http://HOST:PORT on loopback, or https://HOST:PORT. Repeatable.",
            valueName: "url"))
    var controlListen: [String] = []

    @Option(help: ArgumentHelp("Where to serve only probes, in cleartext for anybody.", valueName: "url"))
    var healthListen: String?

    @Option(
        help: ArgumentHelp("Issuer in answers (iss): the address that OAuth clients know this by.", valueName: "url"))
    var issuer: String?

    @Option(help: ArgumentHelp("Public address of the introspection endpoint.", valueName: "url"))
    var introspectionURL: String?

    @Option(help: ArgumentHelp("Your application that signs people in and asks for their consent.", valueName: "url"))
    var loginURL: String?

    @Flag(help: "Serve a sign-in on which everybody can be anybody, to try the flows out (loopback only).")
    var demoLogin = false

    @Option(help: ArgumentHelp("File of the policies that /ext_authz and policy= name.", valueName: "file"))
    var policies: String?

    @Flag(help: "Serve the administration page, /admin, on the network addresses of the control plane.")
    var adminPage = false

    @Option(help: ArgumentHelp("Event loops (default: the processors that may be used).", valueName: "n"))
    var threads: Int?

    @Option(help: ArgumentHelp("File of the peppers (default: DIR.pepper).", valueName: "file"))
    var pepperFile: String?

    @Option(help: ArgumentHelp("Certificate with its chain, PEM.", valueName: "file"))
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("Key of the certificate, PEM.", valueName: "file"))
    var tlsKey: String?

    @Option(help: ArgumentHelp("Authority that client certificates must be signed by, PEM.", valueName: "file"))
    var tlsClientCA: String?

    /// What was given, by setting.
    var flags: [Setting: ConfigContent] {
        var flags: [Setting: ConfigContent] = [:]
        let texts: [(Setting, String?)] = [
            (.store, store), (.vendor, vendor), (.healthListen, healthListen), (.issuer, issuer),
            (.introspectionURL, introspectionURL), (.loginURL, loginURL), (.pepperFile, pepperFile),
            (.tlsCertificate, tlsCertificate), (.policies, policies),
            (.tlsKey, tlsKey), (.tlsClientCA, tlsClientCA),
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

    func settings() async throws -> ServeSettings {
        try await ServeSettings.read(flags: flags, file: config)
    }
}
