@testable import countersign
import AdministrationAPI
import ArgumentParser
import CredentialModel
import Testing

@Suite struct ArgumentTests {
    @Test(arguments: [("90d", 7_776_000), ("24h", 86_400), ("15m", 900), ("30s", 30), ("0", 0), ("0s", 0)])
    func `a duration has a unit`(text: String, seconds: Int64) {
        #expect(DurationArgument(argument: text)?.seconds == seconds)
    }

    @Test(arguments: [
        "", "d", "30", "-1d", "1.5h", "1h30m", "9223372036854775807d", "99999999999999999999s", "٣d", "1 d", "1D",
        "99999999999999d",
    ])
    func `anything else is no duration`(text: String) {
        #expect(DurationArgument(argument: text) == nil)
    }

    @Test(arguments: [
        (["key", "rotate", "00000000001", "--overlap", "3600"], "--overlap <duration>", "write 3600s"),
        (["key", "rotate", "00000000001", "--overlap", "soon"], "--overlap <duration>", "30s, 15m, 24h, 90d"),
        (["client", "rotate", "id", "--overlap", "60"], "--overlap <duration>", "write 60s"),
        (["key", "create", "--owner", "a", "--expires-in", "9999999d"], "--expires-in <duration>", "year 9999"),
        (["key", "create", "--owner", "a", "--not-before", "noon"], "--not-before <time>", "2026-12-31T23:59:59Z"),
    ])
    func `an error in a time names the option and what to write`(arguments: [String], option: String, said: String) {
        do {
            _ = try Countersign.parseAsRoot(arguments)
            Issue.record("It was understood.")
        } catch {
            let message = Countersign.fullMessage(for: error)
            #expect(message.contains("'\(option)'") && message.contains(said), "\(message)")
        }
    }

    @Test func `a rotation has an overlap of a day unless told otherwise, as its help says`() throws {
        #expect(try KeyRotate.parse(["00000000001"]).overlap.seconds == 86_400)
        for help in [KeyRotate.helpMessage(columns: 500), ClientRotate.helpMessage(columns: 500)] {
            #expect(help.contains("(default: 1d)"))
        }
    }

    @Test func `a duration is written in its largest whole unit`() {
        #expect([0, 30, 90, 900, 5_400, 86_400].map(DurationArgument.text) == ["0", "30s", "90s", "15m", "90m", "1d"])
    }

    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("2000-02-29T12:00:00Z", 951_825_600), ("2026-11-23T22:37:05Z", 1_795_473_425),
        ("2026-11-23t22:37:05.123z", 1_795_473_425), ("2026-11-23T23:37:05+01:00", 1_795_473_425),
        ("2026-11-23 17:07:05-05:30", 1_795_473_425), ("9999-12-31T23:59:59Z", 253_402_300_799),
        ("1700000000", 1_700_000_000), ("2026-11-23", 1_795_392_000),
    ])
    func `a time is RFC 3339, a date or Unix seconds`(text: String, seconds: Int64) {
        #expect(TimeArgument(argument: text)?.seconds == seconds)
    }

    @Test(arguments: [
        "", "tomorrow", "2026-11-2", "2026-02-30", "2026-11-23T22:37:05", "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T22:60:00Z",
        "2026-11-23T22:37:05+0100", "2026-11-23T22:37:05.Z", "2026-11-23T22:37:05Zx", "-5",
        "99999999999999999999", "2026/11/23T22:37:05Z",
    ])
    func `anything else is no time`(text: String) {
        #expect(TimeArgument(argument: text) == nil)
    }

    @Test func `a time that is written and parsed again is the same`() {
        for seconds in stride(from: Int64(-2_208_988_800), through: 253_402_300_799, by: 86_400 * 97 + 12_345) {
            #expect(TimeText.parse(TimeText.utc(seconds)) == seconds)
        }
        #expect(TimeText.utc(951_782_399) == "2000-02-28T23:59:59Z")
        // A daemon's answer may contain any number.
        #expect(TimeText.utc(.min) == "-292277022657-01-27T08:29:52Z")
    }

    @Test func `a control address is a Unix socket, https, or http on loopback`() {
        #expect(ControlAddress(argument: "unix:/run/c.sock")?.socketPath == "/run/c.sock")
        #expect(ControlAddress(argument: "unix:c d.sock")?.baseURL == "http+unix://c%20d.sock")
        #expect(ControlAddress(argument: "https://cs.example:8443/")?.baseURL == "https://cs.example:8443")
        #expect(ControlAddress(argument: "http://127.0.0.1:8081")?.baseURL == "http://127.0.0.1:8081")
        for text in [
            "unix:", "/run/c.sock", "http://cs.example:8081", "unix:/a?mode=0600", "https://", "https://u:p@cs.example",
            "https://cs.example/v1", "https://cs.example?a=b", "ftp://cs.example", "http://127.example.com",
            "http://127.0.0.1.example:8081", "http://127.0.0.1\\@cs.example",
        ] {
            #expect(ControlAddress(argument: text) == nil)
        }
    }

    @Test(arguments: [["key", "list"], ["health"], ["store", "check"], ["verify"]])
    func `a control address is not repeated in errors, since it may hold a password`(command: [String]) {
        for option in [["--control", "https://u:pw@h"], ["--control=https://u:pw@h"]] {
            do {
                _ = try Countersign.parseAsRoot(command + option)
                Issue.record("It was understood.")
            } catch {
                let message = Countersign.fullMessage(for: error)
                #expect(Countersign.exitCode(for: error) == .validationFailure)
                #expect(message.contains("--control takes unix:PATH or https://HOST:PORT"), "\(message)")
                #expect(!message.contains("u:pw"), "\(message)")
            }
        }
    }

    @Test func `the default socket is in the store's folder`() throws {
        #expect(try KeyList.parse([]).control.address.socketPath == "./countersign-data/control.sock")
        #expect(try KeyList.parse(["--store", "/srv/c/"]).control.address.socketPath == "/srv/c/control.sock")
        let told = try KeyList.parse(["--store", "/srv/c", "--control", "unix:/x"])
        #expect(try told.control.address.socketPath == "/x")
    }

    @Test func `key create has all documented options`() throws {
        let command = try KeyCreate.parse([
            "--owner", "acme", "--name", "ci", "--scope", "a  b", "--audience", "https://x", "--audience", "https://y",
            "--expires-in", "90d", "--not-before", "2026-11-23T22:37:05Z", "--network", "10.0.0.0/8", "--count", "3",
            "--json",
        ])
        #expect(command.scope?.words == ["a", "b"])
        #expect(command.audience == ["https://x", "https://y"])
        #expect(command.expiresIn?.seconds == 7_776_000)
        #expect(command.count == 3)
        #expect(command.output.json)
    }

    @Test func `client create has all documented options`() throws {
        let command = try ClientCreate.parse([
            "--name", "n", "--grant", "authorization_code", "--grant", "refresh_token", "--redirect-uri",
            "https://x/cb",
            "--scope", "a", "--audience", "u", "--may", "introspect", "--may", "changes", "--certificate-san", "dns:x",
            "--public", "--json",
        ])
        #expect(command.grant == [.authorizationCode, .refreshToken])
        #expect(command.redirectURI == ["https://x/cb"])
        #expect(command.may == [.introspect, .changes])
        #expect(command.certificateSAN == "dns:x")
        #expect(command.isPublic)
    }

    @Test(arguments: [
        ["key", "revoke"], ["key", "revoke", "00000000001", "--owner", "a"],
        ["key", "revoke", "--owner", "a", "--chain"],
        ["key", "revoke", "00000000001", "--issued-before", "5"], ["key", "revoke", "--owner", "a", "--client", "b"],
        ["key", "revoke", "not-an-id"], ["key", "edit", "00000000001"],
        ["key", "edit", "00000000001", "--name", "n", "--no-name"],
        ["key", "edit", "00000000001", "--expires-in", "1d", "--no-expiry"], ["key", "create"],
        ["key", "create", "--owner", "a", "--count", "0"], ["key", "create", "--owner", "a", "--expires-in", "soon"],
        ["client", "create", "--name", "n", "--grant", "password"], ["token", "issue"], ["pepper", "retire", "x"],
        ["key", "list", "--control", "http://x"], ["bogus"], ["key", "rotate", "00000000001", "--overlap", "-1h"],
    ])
    func `wrong arguments are a usage error`(arguments: [String]) async {
        #expect(await Countersign.run(arguments) == .usage)
    }

    /// The parser reports unknown options only after `validate`, whose error would hide theirs.
    @Test(arguments: [
        ["key", "edit", "00000000001"], ["key", "revoke"], ["store", "restore", "file"],
    ])
    func `an unknown option is named`(verb: [String]) throws {
        do {
            _ = try Countersign.parseAsRoot(verb + ["--nonsense"])
            Issue.record("It was understood.")
        } catch {
            #expect(Countersign.fullMessage(for: error).contains("--nonsense"))
        }
    }

    @Test(arguments: [
        ["key", "list", "--store", ""], ["key", "list", "--store", " "], ["store", "upgrade", "--store", ""],
        ["store", "upgrade", "--pepper-file", ""], ["store", "backup", ""], ["store", "revocations", ""],
        ["store", "restore", "", "--accept-lost-revocations"], ["store", "restore", "x", "--revocations-from", ""],
        ["key", "import", ""], ["key", "import", "-", "--refused", ""], ["pepper", "create", ""],
        ["key", "list", "--control-key-file", ""], ["key", "list", "--control-ca", ""], ["serve", "--config", ""],
    ])
    func `an empty path is refused, and is not the working directory`(arguments: [String]) throws {
        do {
            _ = try Countersign.parseAsRoot(arguments)
            Issue.record("It was understood.")
        } catch {
            #expect(Countersign.exitCode(for: error) == .validationFailure)
            #expect(Countersign.fullMessage(for: error).contains("A path must not be empty"))
        }
    }

    @Test func `an empty variable that is a path is refused`() throws {
        for name in [
            "COUNTERSIGN_STORE", "COUNTERSIGN_STORE_LOG", "COUNTERSIGN_PEPPER_FILE", "COUNTERSIGN_CONTROL_KEY_FILE",
            "COUNTERSIGN_CONTROL",
        ] {
            let refused = #expect(throws: CommandFailure.self) { try ProcessText.check("", of: name) }
            #expect(refused?.status == .usage && refused?.message.contains(name) == true)
            try ProcessText.check("x", of: name)
        }
        try ProcessText.check("", of: "NOTIFY_SOCKET")
    }

    @Test func `a malformed head of the audit log is refused without a request`() {
        #expect(throws: (any Error).self) { try AuditVerify.parse(["--head", "abc"]) }
        #expect(throws: Never.self) {
            try AuditVerify.parse(["--head", "17:" + String(repeating: "5f", count: 32)])
        }
    }

    @Test func `an edit says only what changes`() throws {
        let command = try KeyEditCommand.parse(
            ["00000000001", "--no-name", "--expires-in", "1h", "--no-network", "--scope", ""])
        let edit = command.edit(now: UnixSeconds(1_000))
        #expect(edit == KeyEdit(name: .removed, scope: [], networks: [], expiresAt: .set(UnixSeconds(4_600))))
    }

    @Test func `every verb has an example`() {
        func check(_ command: any ParsableCommand.Type, _ path: String) {
            let configuration = command.configuration
            #expect(configuration.discussion.contains("Example"), "\(path)")
            #expect(!configuration.abstract.isEmpty, "\(path)")
            for verb in configuration.subcommands { check(verb, "\(path) \(verb.configuration.commandName ?? "")") }
        }
        check(Countersign.self, "countersign")
    }

    @Test func `the examples in the help are understood`() {
        var count = 0
        func check(_ command: any ParsableCommand.Type) {
            for line in command.configuration.discussion.split(separator: "\n") {
                let words = line.trimmingPrefix { $0 == " " }
                guard words.hasPrefix("countersign ") else { continue }
                let shell = words.split { "|<>".contains($0) }.first ?? ""
                #expect(throws: Never.self, "\(line)") {
                    try Countersign.parseAsRoot(Self.shellWords(shell).dropFirst().map(\.self))
                }
                count += 1
            }
            for verb in command.configuration.subcommands { check(verb) }
        }
        check(Countersign.self)
        #expect(count > 40, "examples are not recognised")
    }

    private static func shellWords(_ line: Substring) -> [String] {
        line.split(separator: "\"", omittingEmptySubsequences: false).enumerated().flatMap { index, part in
            index.isMultiple(of: 2) ? part.split(separator: " ").map(String.init) : [String(part)]
        }
    }
}
