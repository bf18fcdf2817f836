import Configuration
import CredentialModel
import CredentialStore
import Foundation
import LMDB
import Listening
import TestSupport
import Testing

@testable import countersign

@Suite struct `The settings of the service` {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func file(_ text: String, _ name: String = "c.yaml") throws -> String {
        try Data(text.utf8).write(to: URL(fileURLWithPath: folder(name)))
        return folder(name)
    }

    private func settings(
        file: String? = nil, environment: [String: String] = [:], flags: [Setting: ConfigContent] = [:]
    ) async throws -> ServeSettings {
        try ServeSettings(try await SettingsReader(flags: flags, file: file, environment: environment))
    }

    private func check(_ arguments: String...) async throws -> CommandProcess.Outcome {
        try await CommandProcess.run(
            ["config", "check", "--store", folder("store")] + arguments,
            in: URL(fileURLWithPath: folder.path))
    }

    @Test func `may be durations and sizes with units, or plain numbers`() async throws {
        let path = try file(
            """
            lifetimes: {key-max-seconds: 90d, key-default-seconds: "24h"}
            drain-seconds: 15
            store.map-bytes: 256MiB
            """)
        let read = try await settings(file: path, environment: ["COUNTERSIGN_CACHE_BYTES": "64MiB"])
        #expect(read.lifetimes.keySecondsMax == 90 * 86_400 && read.lifetimes.keySecondsDefault == 86_400)
        #expect(read.dataPlane.drainSeconds == 15 && read.mapBytes == 256 << 20 && read.cacheBytes == 64 << 20)
        for wrong in ["1.5h", "-1s", "9223372036854775807d", "1MB", "MiB", "9999999999TiB", "1 MiB"] {
            let read = try? await settings(environment: ["COUNTERSIGN_STORE_MAP_BYTES": wrong])
            #expect(read == nil, "\(wrong)")
        }
    }

    @Test func `permit backups of 400 days by default, and of a day at least`() async throws {
        #expect(try await settings().retention.backupSeconds == 400 * 86_400)
        let variable = "COUNTERSIGN_RETENTION_BACKUP_SECONDS"
        #expect(try await settings(environment: [variable: "30d"]).retention.backupSeconds == 30 * 86_400)
        let read = try? await settings(environment: [variable: "23h"])
        #expect(read == nil)
    }

    @Test func `may be one text in place of a list, under names with dots or dashes`() async throws {
        let path = try file("listen: http://127.0.0.1:1\ncache-bytes: 64MiB\nverify:\n  sources: 10.0.0.0/8\n")
        let read = try await settings(file: path)
        #expect(read.listeners.map(\.description) == ["http://127.0.0.1:1"])
        #expect(read.cacheBytes == 64 << 20 && read.dataPlane.verifySources.count == 1)
        #expect(read.notes.count == 1 && read.notes[0].contains("line 2") && read.notes[0].contains("'cache.bytes'"))
    }

    @Test func `are found under former names, and the new names are reported`() async throws {
        let path = try file("refresh.reuse-leeway: 5\nstore-map-bytes: 2097152\n")
        let read = try await settings(file: path)
        #expect(read.grants.reuseLeewaySeconds == 5 && read.mapBytes == 2_097_152)
        #expect(read.notes.contains { $0.contains("refresh.reuse-leeway-seconds") })
        #expect(read.notes.contains { $0.contains("store.map-bytes") })
        let variable = try await settings(environment: ["COUNTERSIGN_REFRESH_REUSE_LEEWAY": "7"])
        #expect(variable.grants.reuseLeewaySeconds == 7)
        #expect(
            variable.notes == [
                "COUNTERSIGN_REFRESH_REUSE_LEEWAY is now called COUNTERSIGN_REFRESH_REUSE_LEEWAY_SECONDS."
            ])
        #expect(try file("cache.bytes: 1GiB\ncache: {bytes: 2GiB}\n").isEmpty == false)
        await #expect(throws: CommandFailure.self) { try await settings(file: folder("c.yaml")) }
    }

    @Test func `are all checked, and all mistakes are reported at once`() async throws {
        let path = try file(
            """
            issuer: ftp://x
            listen: [http://127.0.0.1:8090, "http://0.0.0.0:1"]
            grpc-listen: unix:/x
            control-listen: [http://localhost:8090]
            lisen: http://127.0.0.1:2
            lifetimes:
              key-default-seconds: 60
              key-max-seconds: 30
              access-token-max-seconds: soon
            cache.bytes: 99999TiB
            log-level: loud
            threads: [1]
            """)
        let outcome = try await check("--config", path, "--admin-page", "--settings-only")
        #expect(outcome.status == 2 && outcome.output.isEmpty)
        for said in [
            "issuer 'ftp://x' (line 1 of", "cleartext is served on loopback only", "must begin with grpcs://",
            "name one address", "line 5: 'lisen' is no setting. Did you mean 'listen'?",
            "lifetimes.key-default-seconds (60) must not exceed lifetimes.key-max-seconds (30)",
            "lifetimes.access-token-max-seconds 'soon' (line 9 of", "cache.bytes '99999TiB' (line 10 of",
            "log-level 'loud'",
            "line 12: 'threads' must be a whole number",
        ] { #expect(outcome.errors.contains(said), "\(said) is missing in \(outcome.errors)") }
    }

    @Test func `are refused when they are empty texts`() async throws {
        for setting in Setting.allCases where setting.kind == .text {
            var failure: CommandFailure?
            do throws(CommandFailure) {
                _ = try await read([setting: .string("")])
            } catch {
                failure = error
            }
            #expect((failure == nil) == setting.mayBeEmpty, "\(setting)")
            if let failure { #expect(failure.status == .usage && failure.message.contains(setting.rawValue)) }
        }
        // Without the flag, which takes precedence over the file.
        let file = try await CommandProcess.run(
            ["config", "check", "--config", try file("store: ''\n"), "--settings-only"],
            in: URL(fileURLWithPath: folder.path))
        #expect(file.status == 2 && file.errors.contains("Setting store") && file.errors.contains("is empty"))
    }

    private func read(_ flags: [Setting: ConfigContent]) async throws(CommandFailure) -> ServeSettings {
        do {
            return try ServeSettings(try await SettingsReader(flags: flags, file: nil, environment: [:]))
        } catch {
            throw error as? CommandFailure ?? CommandFailure("\(type(of: error))")
        }
    }

    @Test(arguments: [
        (Setting.storeMapBytes, "100000TiB", "64TiB at most"), (.resourceMetadata, "not-a-url", "must be an https URL"),
        (.resourceMetadata, "http://api.example/x", "must be an https URL"),
        (.issuer, "https://id.example/", "neither a query nor a slash"),
        (.issuer, "https://id.example/x?a=b", "neither a query nor a slash"),
    ])
    func `are refused when they cannot work`(setting: Setting, value: String, said: String) async throws {
        let refused = await #expect(throws: CommandFailure.self) { try await read([setting: .string(value)]) }
        #expect(refused?.status == .usage && refused?.message.contains(said) == true, "\(refused?.message ?? "")")
    }

    @Test func `may begin with a byte order mark`() async throws {
        let read = try await settings(file: try file("\u{FEFF}refresh.reuse-leeway-seconds: 5\nvendor: ab\n"))
        #expect(read.grants.reuseLeewaySeconds == 5 && read.vendor != nil)
    }

    @Test func `need a listener`() async throws {
        let outcome = try await check("--config", try file("listen: []\n"))
        #expect(
            outcome.status == 2 && outcome.errors.contains("Setting listen")
                && outcome.errors.contains("nothing would be"))
        #expect(try await settings(file: try file("listen: []\ngrpc-listen: grpc+unix:/run/x\n")).listeners.count == 1)
    }

    @Test(arguments: [
        ("listen:\n  - a\n bad: 1\n", "line "), ("a: 'x\n", "line"), ("cache:\n\tbytes: 1\n", "line 2"),
        ("listen: a\nlisten: b\n", "is given twice"), ("- a\n", "names and values"), ("{\"listen\": [}", "line 1"),
    ])
    func `name the line where the file is no YAML, without words of the parser`(text: String, said: String) async throws
    {
        let outcome = try await check("--config", try file(text))
        #expect(outcome.status == 2 && outcome.errors.contains(said), "\(outcome.errors)")
        for word in ["mapping", "scanner", "token", "YamlError", "error:"] { #expect(!outcome.errors.contains(word)) }
    }

    @Test func `include unknown variables, except those that Kubernetes sets for a service`() {
        let variables = Variables([
            "COUNTERSIGN_LISTN": "x", "COUNTERSIGN_SERVICE_HOST": "x", "COUNTERSIGN_SERVICE_PORT_HTTPS": "x",
            "COUNTERSIGN_PORT": "x", "COUNTERSIGN_PORT_8443_TCP_ADDR": "x", "COUNTERSIGN_ADMIN_SERVICE_HOST": "x",
            "COUNTERSIGN_CONTROL_KEY_FILE": "x", "COUNTERSIGN_STORE": "s", "COUNTERSIGN": "x", "HOME": "/",
        ])
        #expect(variables.values == [.store: "s"])
        #expect(variables.unknown == ["'COUNTERSIGN_LISTN' is no setting. Did you mean 'COUNTERSIGN_LISTEN'?"])
    }

    @Test func `that errors name exist`() {
        let texts = [
            StoreFailure.full(usedPercent: 80).description, LMDBError.mapFull.description,
        ]
        for text in texts {
            let names = text.matches(of: /[a-z]+(?:[.-][a-z]+)*\.[a-z-]+/).map { String($0.output) }
            #expect(!names.isEmpty && names.allSatisfy { Setting(rawValue: $0) != nil }, "\(names) in \(text)")
        }
        #expect(
            Setting.allCases.allSatisfy { Setting.named($0.rawValue) == $0 && Setting.ofVariable($0.variable) == $0 })
    }

    @Test func `are exactly those in the manual`() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../..")
        let page = try String(
            contentsOf: root.appending(path: "Sources/Verification/Verification.docc/Settings.md"), encoding: .utf8)
        let table = try #require(page.firstMatch(of: /<!-- settings:[^\n]*\n([\s\S]*?)<!-- end -->/)).output.1
        let names = table.split(separator: "\n").dropFirst(2).flatMap { row in
            // | `name`, `name` | default | meaning |
            row.split(separator: "|")[0].matches(of: /`([^`]+)`/).map { String($0.output.1) }
        }
        #expect(names.sorted() == Setting.allCases.map(\.rawValue).sorted())
    }
}

@Suite struct `The checks before a start` {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func report(_ flags: [Setting: ConfigContent]) async throws -> StartChecks.Report {
        var all: [Setting: ConfigContent] = [.store: .string(folder("store")), .listen: .string("http://127.0.0.1:0")]
        all.merge(flags) { $1 }
        if case .string(let one)? = all[.listen] { all[.listen] = .stringArray([one]) }
        return await StartChecks(
            settings: try ServeSettings(try await SettingsReader(flags: all, file: nil, environment: [:]))
        ).run()
    }

    @Test func `find nothing wrong before a new store, and create nothing`() async throws {
        let report = try await report([:])
        #expect(report.faults.isEmpty && report.taken.isEmpty, "\(report)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test func `accept a folder for the log that exists or can be created`() async throws {
        for path in [folder.path, folder("log")] {
            let report = try await report([.storeLog: .string(path)])
            #expect(report.faults.isEmpty, "\(report)")
        }
    }

    @Test func `report a folder of the log that leads into the store's, or belongs to somebody else`() async throws {
        let (store, link, foreign) = (folder("store"), folder("link"), folder("foreign"))
        try FileManager.default.createDirectory(atPath: store, withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: store)
        let inside = try await report([.storeLog: .string(link)])
        #expect(inside.faults.count == 1 && inside.faults[0].contains("leads into the store's folder"), "\(inside)")
        // Only root can give a folder away.
        guard geteuid() == 0 else { return }
        try FileManager.default.createDirectory(atPath: foreign, withIntermediateDirectories: false)
        try #require(chown(foreign, 1, 1) == 0)
        let owned = try await report([.storeLog: .string(foreign)])
        #expect(owned.faults.count == 1 && owned.faults[0].contains("belongs to uid 1"), "\(owned)")
    }

    @Test func `report a socket of which it is unknown whether a process listens on it`() async throws {
        let path = folder("datagrams")
        let blocker = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(blocker) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let status = withUnsafeBytes(of: &address) { bytes in
            bind(blocker, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
        try #require(status == 0)
        let report = try await report([.listen: .string("unix:\(path)")])
        #expect(report.taken.isEmpty && report.faults.count == 1, "\(report)")
        let said = "Setting listen (unix:\(path)): \(path) is a socket of another kind"
        #expect(report.faults.first?.hasPrefix(said) == true, "\(report)")
    }

    @Test func `report a map without address space before anything is created`() async throws {
        var settings = try ServeSettings(
            try await SettingsReader(
                flags: [.store: .string(folder("store")), .listen: .stringArray(["http://127.0.0.1:0"])], file: nil,
                environment: [:]))
        settings.mapBytes = 1 << 60
        let report = await StartChecks(settings: settings).run()
        #expect(report.faults.count == 1 && report.faults[0].contains("store.map-bytes"), "\(report)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test func `name setting, value, place and remedy`() async throws {
        let file = folder("file")
        try Data().write(to: URL(fileURLWithPath: file))
        let cases: [([Setting: ConfigContent], String)] = [
            ([.store: .string(folder("a/b/c"))], "Setting store: the folder"),
            (
                [.listen: .string("unix:/nowhere/at/all/x.sock")],
                "Setting listen (unix:/nowhere/at/all/x.sock): the folder"
            ),
            ([.listen: .string("unix:\(folder("x"))?group=nobody-has-this")], "there is no group 'nobody-has-this'"),
            ([.listen: .string("unix:\(folder.path)")], "no socket is in its place"),
            (
                [
                    .controlListen: .stringArray([
                        "unix:\(folder(String(repeating: "x", count: 105 - folder.path.utf8.count)))"
                    ])
                ],
                "more than 103 bytes"
            ),
            ([.pepperFile: .string("/nowhere/pepper")], "Setting pepper-file: '/nowhere/pepper' cannot be made"),
            (
                [.storeLog: .string(folder("a/b/log"))],
                "Setting store.log: the folder '\(folder("a/b"))' for '\(folder("a/b/log"))' does not exist"
            ),
            ([.storeLog: .string(file)], "Setting store.log: '\(file)' is a file. Name a folder for the log alone."),
            ([.storeLog: .string(file + "/log")], "Setting store.log: '\(file)' is not a folder."),
            // One fault names the folder in which both are to be created.
            (
                [.store: .string(folder("a/store")), .storeLog: .string(folder("a/log"))],
                "Setting store: the folder '\(folder("a"))'"
            ),
        ]
        for (flags, said) in cases {
            let report = try await report(flags)
            #expect(report.faults.count == 1 && report.faults[0].contains(said), "\(said): \(report)")
        }
    }

    @Test func `report a port that another process uses, with which serve does not start`() async throws {
        let blocker = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(blocker) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer -> UInt16 in
                guard bind(blocker, pointer, length) == 0, listen(blocker, 1) == 0,
                    getsockname(blocker, pointer, &length) == 0
                else { return 0 }
                return UnsafeRawPointer(pointer).load(fromByteOffset: 2, as: UInt16.self).bigEndian
            }
        }
        let report = try await report([.listen: .string("http://127.0.0.1:\(port)")])
        #expect(
            report.faults.isEmpty && report.taken.count == 1
                && report.taken[0].contains("another process has this port"))
        let served = try await CommandProcess.run(
            [
                "serve", "--store", folder("store"), "--listen", "http://127.0.0.1:\(port)", "--health-listen",
                "unix:/nowhere/h",
            ],
            in: URL(fileURLWithPath: folder.path))
        #expect(
            served.status == 3 && served.errors.contains("2 things keep the service from starting"), "\(served.errors)")
        #expect(served.errors.contains("Setting listen (http://127.0.0.1:\(port)): another process has this port."))
        #expect(!FileManager.default.fileExists(atPath: folder("store")))
    }
}

@Suite struct ListenerSettingTests {
    private func check(_ arguments: String...) async throws -> CommandProcess.Outcome {
        try await CommandProcess.run(["config", "check"] + arguments, in: FileManager.default.temporaryDirectory)
    }

    @Test func `listeners of gRPC have a setting of their own, and it has no others`() async throws {
        let good = try await check("--grpc-listen", "grpc+unix:/run/check.sock?mode=0660")
        #expect(good.status == 0 && good.output.contains("grpc+unix:/run/check.sock?mode=0660"))
        for setting in ["--listen", "--control-listen", "--health-listen"] {
            let refused = try await check(setting, "grpc+unix:/run/check.sock")
            #expect(refused.status == 2 && refused.errors.contains("grpc-listen"), "\(setting)")
        }
        let other = try await check("--grpc-listen", "unix:/run/check.sock")
        #expect(other.status == 2 && other.errors.contains("grpcs://"))
        let bare = try await check("--grpc-listen", "grpcs://0.0.0.0:8444")
        #expect(bare.status == 2 && bare.errors.contains("tls-certificate"))
        let unknown = try await check("--grpc-listen", "grpc+unix:/run/check.sock?policy=orders")
        #expect(unknown.status == 2 && unknown.errors.contains("orders"))
    }

    @Test func `a name that begins like a loopback address is not one`() async throws {
        for (flag, text) in [
            ("--issuer", "http://127.example.com"), ("--introspection-url", "http://127.example.com/oauth2/introspect"),
            ("--login-url", "http://127.example.com"), ("--listen", "http://127.example.com:8080"),
        ] {
            let refused = try await check("--control-listen", "http://127.0.0.1:8081", flag, text)
            #expect(refused.status == 2 && refused.errors.contains("loopback"), "\(flag)")
        }
    }
}

@Suite struct `Names with typing errors` {
    @Test func `are matched by few edits, whatever their case`() {
        let names = ["acme", "acme-west", "umbrella", "initech", "Hooli"]
        #expect(NearNames.nearest(to: "acem", among: names) == ["acme"])
        #expect(NearNames.nearest(to: "ACME", among: names) == ["acme"])
        #expect(NearNames.nearest(to: "umbrela", among: names) == ["umbrella"])
        #expect(NearNames.nearest(to: "hoolli", among: names) == ["Hooli"])
        #expect(NearNames.nearest(to: "unrelated", among: names).isEmpty)
        #expect(NearNames.nearest(to: "", among: names).isEmpty)
        #expect(NearNames.nearest(to: "a", among: ["b", "c", "d", "e"], countMax: 2) == ["b", "c"])
    }
}
