import ChildProcess
import CredentialModel
import Foundation
import Issuance
import TestSupport

/// Another process that follows a fixture's store and answers queries about credentials.
final class Follower {
    private let child: ChildProcess
    private let questions = Pipe()
    private let answers = Pipe()
    private var isRunning = true
    /// Its report about opening the store.
    private(set) var greeting = ""

    init(_ fixture: Fixture, store: String? = nil, peppers: String? = nil) throws {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let program = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("Proofs")
        child = try ChildProcess(
            program.path, ["following", "answer", store ?? fixture.directory, peppers ?? fixture.pepperPath],
            input: questions.fileHandleForReading, output: answers.fileHandleForWriting)
        try questions.fileHandleForReading.close()
        try answers.fileHandleForWriting.close()
        greeting = try line()
    }

    deinit { end() }

    var hasOpened: Bool { greeting.hasPrefix("open ") }
    var pid: Int32 { child.pid }

    func end() {
        guard isRunning else { return }
        isRunning = false
        try? questions.fileHandleForWriting.close()
        child.wait()
    }

    /// Its verdict on a credential.
    func verdict(_ secret: SecretText, at now: UnixSeconds? = nil) throws -> String {
        let text = String(decoding: secret.revealBytes(), as: UTF8.self)
        return try ask("verify \(text)" + (now.map { " \($0.rawValue)" } ?? ""))
    }

    func verdicts(_ secrets: [SecretText]) throws -> [String] {
        let texts = secrets.map { String(decoding: $0.revealBytes(), as: UTF8.self) }
        return try ask("batch " + texts.joined(separator: " ")).split(separator: ",").map(String.init)
    }

    func ask(_ question: String) throws -> String {
        try questions.fileHandleForWriting.write(contentsOf: Data((question + "\n").utf8))
        return try line()
    }

    private func line() throws -> String {
        var line = ""
        while !line.hasSuffix("\n") {
            let bytes = answers.fileHandleForReading.availableData
            guard !bytes.isEmpty else { break }
            line += String(decoding: bytes, as: UTF8.self)
        }
        return String(line.dropLast())
    }
}
