import ArgumentParser
import Foundation
import LoadParts
import NIOCore
import NIOPosix

/// The command line.
@main
struct LoadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Ask a Countersign server at a fixed rate and measure how long its answers take.",
        discussion: """
            Requests are due at fixed times whatever the server does, and latencies count from when they were due: a stall \
            is felt by every request that it delays. --rate 0 is a closed loop instead: each connection asks again when it \
            is answered.

            Example:
              load --target http://127.0.0.1:8080 --request introspect --credentials keys.txt --authorization basic.txt \
            --rate 5000

            Exit codes: 0 done, 1 wrong or lost answers, 2 usage, 3 cannot connect.
            """)

    @Option(help: ArgumentHelp("http://HOST:PORT, https://HOST:PORT or unix:PATH.", valueName: "url"))
    var target: String

    @Option(help: ArgumentHelp("Certificates to trust, PEM.", valueName: "file"))
    var trust: String?

    @Flag(help: "Accept any certificate.")
    var insecure = false

    @Option(help: "introspect, verify or batch.")
    var request = RequestKind.introspect

    @Option(help: ArgumentHelp("Credentials, one a line.", valueName: "file"))
    var credentials: String?

    @Option(help: ArgumentHelp("The caller's own Authorization for introspect and batch.", valueName: "file"))
    var authorization: String?

    @Option(help: ArgumentHelp("Share of well-formed credentials that belong to nobody.", valueName: "0..1"))
    var unknownShare = 0.0

    @Option(help: ArgumentHelp("Which lines: uniform or zipf:EXPONENT.", valueName: "skew"))
    var skew = Skew.uniform

    @Option(help: ArgumentHelp("Requests a second; 0 for a closed loop.", valueName: "n"))
    var rate = 0.0

    @Option(help: ArgumentHelp("Connections.", valueName: "n"))
    var connections = 64

    @Option(help: ArgumentHelp("Requests under way on one connection, at most.", valueName: "n"))
    var pipeline = 1

    @Option(help: ArgumentHelp("Credentials in a batch.", valueName: "n"))
    var batchSize = 16

    @Option(help: ArgumentHelp("How long to measure.", valueName: "s"))
    var seconds = 10.0

    @Option(help: ArgumentHelp("How long to send before that.", valueName: "s"))
    var warmup = 1.0

    @Option(help: ArgumentHelp("Requests that may wait for a connection; then the oldest are dropped.", valueName: "n"))
    var queue = 1_000_000

    @Option(help: ArgumentHelp("Chooses the credentials; the same seed chooses the same.", valueName: "n"))
    var seed: UInt64 = 1

    @Option(
        help: ArgumentHelp(
            "What answers must be: active (then those of unknown credentials must be inactive), inactive, any, or a status.",
            valueName: "answer"))
    var expect = ExpectedAnswer.Wanted.active

    @Flag(help: "Print one JSON object a line, latencies in microseconds.")
    var json = false

    static func main() {
        Foundation.exit(run(Array(CommandLine.arguments.dropFirst())))
    }

    private static func run(_ arguments: [String]) -> Int32 {
        do {
            let command = try parse(arguments)
            return try command.measure()
        } catch let failure as Failure {
            Console.note(failure.message)
            return failure.code
        } catch {
            let code = exitCode(for: error)
            guard code == .success else {
                Console.note(fullMessage(for: error))
                return Failure.usageCode
            }
            Console.result(fullMessage(for: error))
            return 0
        }
    }

    func validate() throws {
        guard Target(target) != nil else { throw ValidationError("--target is none of the three kinds of URL") }
        guard (0...1).contains(unknownShare) else { throw ValidationError("--unknown-share is from 0 to 1") }
        guard credentials != nil || unknownShare == 1 else {
            throw ValidationError("--credentials is needed unless --unknown-share is 1")
        }
        guard (0...10_000_000).contains(rate) else { throw ValidationError("--rate is from 0 to 10000000") }
        guard (1...50_000).contains(connections) else { throw ValidationError("--connections is from 1 to 50000") }
        guard (1...10_000).contains(pipeline) else { throw ValidationError("--pipeline is from 1 to 10000") }
        guard (1...1_000).contains(batchSize) else { throw ValidationError("--batch-size is from 1 to 1000") }
        guard seconds > 0, seconds <= 86_400 else { throw ValidationError("--seconds is over 0 and at most 86400") }
        guard (0...86_400).contains(warmup) else { throw ValidationError("--warmup is from 0 to 86400") }
        guard queue > 0 else { throw ValidationError("--queue is at least 1") }
    }

    /// - Returns: the exit code.
    private func measure() throws -> Int32 {
        let plan = Plan(
            rate: rate, connections: connections, pipeline: pipeline, warmupNanoseconds: Int(warmup * 1e9),
            measuredNanoseconds: Int(seconds * 1e9), queueMax: queue, expectation: ExpectedAnswer(expect, of: request))
        guard case .measured(let measured) = try Run(plan, mix: mix(), connector: connector()).wait() else {
            Console.note("not one connection could be made")
            return Failure.unreachableCode
        }
        let report = Report(measured, intendedRate: rate, connections: connections, pipeline: pipeline)
        for warning in report.warnings { Console.note(warning) }
        Console.result(json ? report.json : report.table)
        return measured.isFlawless ? 0 : 1
    }
}
