import AdministrationAPI
import ArgumentParser
import CredentialModel
import Foundation

struct KeyScan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scan", abstract: "Find credentials in a text, and report which are active.",
        discussion: """
            Reads standard input: a repository, a log, a dump. Names each credential of this store by its id and never prints
            it. Exits with 1 when one of them is active.

            Imported keys have no common form. With --imported, every run of 20 to 512 letters, digits and -._~+/ is looked
            up, which takes long for a long text.

            Examples:
              git log -p | countersign key scan
              countersign key scan --imported < access.log
            """)

    @Flag(help: "Find imported keys too.")
    var imported = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    private static let pieceBytes = 1 << 16
    /// How many texts are remembered, so that none is looked up twice. Beyond it the memory is cleared.
    private static let seenMax = 1_000_000

    /// A credential of this store that was found in the text.
    private struct Finding: Encodable {
        let line: Int
        let id: String
        let kind: String
        let active: Bool
        let reason: String
        let owner: String?
    }

    func run() async throws {
        try await control.withConnection { connection in
            var scanner = CredentialScanner()
            var foreign = ForeignKeyScanner()
            var seen: Set<String> = []
            // One key may be found twice, once with characters around it.
            var known: Set<String> = []
            var found = 0
            var active = 0
            var table = Table(["LINE", "ID", "KIND", "STATE", "OWNER"])
            func judge(_ finds: [CredentialScanner.Find], countUnknown: Bool) async throws {
                for find in finds {
                    let text = find.text.reveal()
                    guard seen.insert(text).inserted else { continue }
                    if countUnknown { found += 1 }
                    guard let finding = try await Self.judge(text, find.line, connection),
                        known.insert(finding.id).inserted
                    else { continue }
                    if !countUnknown { found += 1 }
                    if finding.active { active += 1 }
                    if output.json {
                        try Console.json(finding)
                    } else {
                        table.add([
                            String(finding.line), finding.id, finding.kind, finding.active ? "ACTIVE" : finding.reason,
                            finding.owner,
                        ])
                    }
                }
                if seen.count > Self.seenMax { seen.removeAll() }
            }
            while let piece = try FileHandle.standardInput.read(upToCount: Self.pieceBytes), !piece.isEmpty {
                let bytes = Array(piece)
                // Countersign's own form first. These count also when another store issued them.
                try await judge(scanner.scan(bytes), countUnknown: true)
                if imported { try await judge(foreign.scan(bytes), countUnknown: false) }
            }
            if imported { try await judge(foreign.finish(), countUnknown: false) }
            if !output.json, found > 0 { try Console.line(table.render()) }
            Console.error("\(found) credentials found, \(active) of them active.")
            if active > 0 { throw CommandStatus.negative }
        }
    }

    /// Nil for a text that is no credential of this store.
    private static func judge(
        _ text: String, _ line: Int, _ connection: ControlConnection
    ) async throws -> Finding? {
        let request = ExplainRequest(credential: Secret(text))
        let verdict: ExplanationResource = try await connection.send(.POST, "/v1/explain", body: request)
        guard let credential = verdict.credential else { return nil }
        // Not the verdict: no gateway would accept a client secret, or a key limited to networks from here, and a leak of
        // them matters all the same.
        let isActive = credential.state == .active
        return Finding(
            line: line, id: credential.id, kind: credential.kind, active: isActive,
            reason: isActive ? "valid" : credential.state.rawValue, owner: credential.owner)
    }
}
