import AdministrationAPI
import ArgumentParser
import CredentialStore
import Foundation
import LMDB

struct StoreCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Read the whole store and report what is wrong.",
        discussion: """
            A process of its own reads the store, beside a running daemon or without one. Exits with 3 when something is \
            wrong.

            Example:
              countersign store check
            """)

    @OptionGroup var output: OutputOptions
    @OptionGroup var control: ControlOptions

    @Flag(help: ArgumentHelp("Read the store in this process.", visibility: .hidden))
    var here = false

    func run() async throws {
        if here { return try StoreCheckProcess.check(store: path) }
        guard try !isOffline() else {
            let path = path
            let problems = try await StoreFolder.offThread {
                try StoreCheckProcess.run(store: path, pepperPath: StoreCheckProcess.pepperPath(of: path))
            }
            return try report(StoreCheck(problems: problems))
        }
        try await control.withDaemon { connection in try report(try await connection.send(.GET, "/v1/store/check")) }
    }

    private var path: String { URL(fileURLWithPath: control.store).standardizedFileURL.path }

    /// Whether there is no daemon to ask, so that this command starts the other process itself.
    private func isOffline() throws -> Bool {
        guard !control.isNamed, let socket = try control.address.socketPath else { return false }
        guard try !SocketProbe.isListening(socket) else { return false }
        try control.requireStoreFolder()
        return true
    }

    private func report(_ check: StoreCheck) throws {
        if output.json {
            try Console.json(check)
        } else if check.isSound {
            try Console.line("The store is sound.")
        } else {
            for problem in check.problems { try Console.line(SafeText.visible(problem)) }
        }
        if !check.isSound { throw CommandStatus.failed }
    }
}

/// The check of a store in a process of its own.
///
/// LMDB aborts or faults on damaged pages, which ends the process that reads them. That must not be the daemon, nor the command
/// that reports the result. The process opens the store as an embedded verifier does: it takes no lock that keeps the daemon
/// out, and writes nothing.
enum StoreCheckProcess {
    private static let problem = "problem "
    private static let end = "end"

    static func pepperPath(of store: String) -> String {
        ProcessInfo.processInfo.environment[Setting.pepperFile.variable] ?? store + ".pepper"
    }

    /// Runs in the other process. Prints one line for each problem, then a line that says that the check is complete.
    static func check(store path: String) throws {
        try finding {
            guard CredentialStore.exists(in: path) else { throw StoreFailure.noStore(directory: path) }
            let store = try FollowedStore.open(
                in: path, pepperPath: pepperPath(of: path), options: FollowOptions(cacheBytes: 1 << 20))
            for problem in try store.check() { try Console.line(Self.problem + SafeText.visible(problem)) }
            try Console.line(end)
        } damage: { sentence in
            try Console.line(problem + SafeText.visible(sentence))
            try Console.line(end)
        }
    }

    /// Reports damage as a result: finding it is the purpose of the check, so it is no failure of the command.
    private static func finding(_ body: () throws -> Void, damage: (String) throws -> Void) throws {
        do {
            try body()
        } catch let failure as StoreFailure {
            switch failure {
            case .lmdb(.pageNotFound), .lmdb(.corrupted), .lmdb(.cursorFull), .lmdb(.pageFull), .lmdb(.incompatible),
                .lmdb(.badValueSize), .lmdb(.truncated), .lmdb(.misplacedPage), .corrupt, .damaged:
                try damage("the store in the file data.mdb is damaged: \(failure.description)")
            default: throw CommandFailure("\(failure.description).")
            }
        }
    }

    /// Starts the other process and waits for it.
    /// - Parameter isWanted: called now and then; false ends the check.
    /// - Returns: a sentence for each problem; empty when the store is sound.
    /// - Throws: ``CommandFailure`` when the check could not be completed for another reason than damage.
    static func run(
        store path: String, pepperPath: String, isWanted: () -> Bool = { true }
    ) throws -> [String] {
        var environment = ProcessInfo.processInfo.environment
        environment[Setting.pepperFile.variable] = pepperPath
        // The crash reporter would take seconds and print a page.
        environment["SWIFT_BACKTRACE"] = "enable=no"
        var isCancelled = false
        let outcome: SecondProcess.Outcome
        do {
            outcome = try SecondProcess.run(
                ["countersign", "store", "check", "--here", "--store", path], environment: environment
            ) {
                if !isWanted() { isCancelled = true }
                return !isCancelled
            }
        } catch {
            throw CommandFailure("The process for the check cannot be started: \(error).")
        }
        let lines = String(decoding: outcome.output, as: UTF8.self).split(separator: "\n")
        var problems = lines.filter { $0.hasPrefix(problem) }.map { String($0.dropFirst(problem.count)) }
        switch outcome.end {
        case .exited(0) where lines.last.map(String.init) == end: return problems
        case .signalled where isCancelled:
            throw CommandFailure(
                "The check was ended, since revocations need the pages that it holds. Try again when fewer changes are written."
            )
        case .signalled(let signal):
            problems.append(
                "pages of \(path)/data.mdb are damaged: the process that read them was ended by signal \(signal). "
                    + "Restore the store from a backup (countersign store restore)")
            return problems
        case .exited:
            let words = String(decoding: outcome.errors, as: UTF8.self).split(separator: "\n").last.map(String.init)
            let sentence = words.map { $0.hasPrefix("Error: ") ? String($0.dropFirst(7)) : $0 }
            throw CommandFailure(sentence ?? "The store could not be checked.")
        }
    }
}
