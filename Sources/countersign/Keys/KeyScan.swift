import AdministrationAPI
import ArgumentParser
import CredentialModel
import Foundation

struct KeyScan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scan", abstract: "Find credentials in a text, and tell which are alive.",
        discussion: """
            Reads standard input: a repository, a log, a dump. Names each credential of this store by its id and never prints
            it. Exits with 1 when one of them is alive.

            Example:
              git log -p | countersign key scan
            """)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    private static let pieceBytes = 1 << 16

    /// A credential of this store that stands in the text.
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
            var seen: Set<String> = []
            var alive = 0
            var table = Table(["LINE", "ID", "KIND", "STATE", "OWNER"])
            while let piece = try FileHandle.standardInput.read(upToCount: Self.pieceBytes), !piece.isEmpty {
                for find in scanner.scan(Array(piece)) {
                    let text = find.text.reveal()
                    guard seen.insert(text).inserted, let finding = try await Self.judge(text, find.line, connection)
                    else { continue }
                    if finding.active { alive += 1 }
                    if output.json {
                        try Console.json(finding)
                    } else {
                        table.add([
                            String(finding.line), finding.id, finding.kind, finding.active ? "ACTIVE" : finding.reason,
                            finding.owner,
                        ])
                    }
                }
            }
            if !output.json, !seen.isEmpty { try Console.line(table.render()) }
            Console.error("\(seen.count) credentials found, \(alive) of them alive.")
            if alive > 0 { throw CommandStatus.negative }
        }
    }

    /// Nil for what this store knows nothing of: another's, or made up.
    private static func judge(
        _ text: String, _ line: Int, _ connection: ControlConnection
    ) async throws -> Finding? {
        let request = ExplainRequest(credential: Secret(text))
        let verdict: ExplanationResource = try await connection.send(.POST, "/v1/explain", body: request)
        guard let credential = verdict.credential else { return nil }
        return Finding(
            line: line, id: credential.id, kind: credential.kind, active: verdict.isActive, reason: verdict.reason,
            owner: credential.owner)
    }
}
