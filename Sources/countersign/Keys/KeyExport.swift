import ArgumentParser
import CredentialModel
import Foundation

struct KeyExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Print all keys without their secrets, one JSON object a line.",
        discussion: """
            In the order of their ids: every key that is there from beginning to end stands in it once, also those that are
            revoked or expired. Not a backup: neither secrets nor what verifies them are in it.

            Examples:
              countersign key export > inventory.jsonl
              countersign key export --owner acme | jq -r 'select(.state == "active") | .id'
            """)

    @Option(help: ArgumentHelp("Only keys of this owner.", valueName: "owner"))
    var owner: String?

    @Option(help: ArgumentHelp("Only keys issued through this client.", valueName: "id"))
    var client: String?

    @OptionGroup var control: ControlOptions

    func run() async throws {
        try await control.withConnection { connection in
            var progress = ProgressBar("exporting")
            defer { progress.finish() }
            var lines = WholeLines()
            let filters = [("owner", owner), ("client_id", client)]
            try await connection.download(.GET, "/v1/keys/export", query: filters) { piece, _ in
                let whole = lines.take(piece)
                try Console.write(whole)
                guard progress.isDue(.now), let place = Self.place(inLastOf: whole) else { return }
                progress.update(done: place, of: Self.places)
            }
        }
    }

    private static let places = 1 << 32

    /// How far the last line's id is on the way to the last of all. Ids are random, so that this is how much is done.
    static func place(inLastOf lines: Data) -> Int? {
        let start = Data(#"{"id":""#.utf8)
        guard let found = lines.range(of: start, options: .backwards), found.upperBound + 11 <= lines.endIndex,
            let id = CredentialID(String(decoding: lines[found.upperBound..<found.upperBound + 11], as: UTF8.self))
        else { return nil }
        return Int(id.rawValue >> 32)
    }
}
