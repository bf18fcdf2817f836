import ArgumentParser
import CredentialStore
import Foundation

struct StoreUpgrade: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upgrade", abstract: "Bring the store of an earlier version to the present form.",
        discussion: """
            No daemon may run. The store is copied, the copy is changed and checked row by row, and then takes the \
            folder's place in one step. The old folder is kept beside it for the way back.

            Example:
              countersign store upgrade --store /var/lib/countersign/data
            """)

    @OptionGroup var replaced: ReplacedStore

    func run() async throws {
        let peppers = try replaced.peppers()
        let path = replaced.path
        let outcome = try await ReplacedStore.offThread {
            try CredentialStore.upgrade(in: path, peppers: peppers, options: ReplacedStore.options)
        }
        switch outcome {
        case .current(let schema): try Console.line("The store has schema \(schema) already: nothing to do.")
        case .upgraded(let from, let to, let replacement):
            if let kept = replacement.kept { try Console.line("old folder   \(kept)") }
            try Console.line("upgraded     \(path), from schema \(from) to \(to)")
        }
    }
}
