import ArgumentParser
import Foundation
import LoadParts

/// Why a run cannot begin, and with what code the process ends.
struct Failure: Error {
    static let usageCode: Int32 = 2
    static let unreachableCode: Int32 = 3

    let message: String
    let code: Int32
}

/// What the flags name.
extension LoadCommand {
    func mix() throws -> RequestMix {
        guard let target = Target(target) else { throw Failure(message: "--target is no URL", code: Failure.usageCode) }
        return RequestMix(
            request, file: try credentialFile(), skew: skew, unknownShare: unknownShare, seed: seed,
            host: target.authority, authorization: try authorizationValue(), batchSize: batchSize)
    }

    func connector() throws -> Connector {
        guard let target = Target(target) else { throw Failure(message: "--target is no URL", code: Failure.usageCode) }
        do {
            let trust = insecure ? Connector.Trust.anything : trust.map(Connector.Trust.file) ?? .system
            return try Connector(to: target, trust: trust)
        } catch {
            let reason = FailureText.of(error)
            throw Failure(message: "cannot use \(target.authority): \(reason)", code: Failure.unreachableCode)
        }
    }

    private func credentialFile() throws -> CredentialFile? {
        guard let credentials else { return nil }
        do {
            return try CredentialFile(path: credentials)
        } catch {
            throw Failure(message: "\(credentials) \(error)", code: Failure.usageCode)
        }
    }

    /// One line; what is wrong with it is told without it.
    private func authorizationValue() throws -> String? {
        guard let authorization else { return nil }
        guard let text = try? String(contentsOfFile: authorization, encoding: .utf8) else {
            throw Failure(message: "\(authorization) cannot be read", code: Failure.usageCode)
        }
        let value = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard !value.isEmpty, value.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            throw Failure(message: "\(authorization) is not one line of ASCII", code: Failure.usageCode)
        }
        return value
    }
}

extension RequestKind: ExpressibleByArgument {}

extension Skew: ExpressibleByArgument {
    public init?(argument: String) {
        self.init(argument)
    }
}

extension ExpectedAnswer.Wanted: ExpressibleByArgument {
    public init?(argument: String) {
        self.init(argument)
    }
}
