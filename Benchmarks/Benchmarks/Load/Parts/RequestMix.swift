/// The stream of requests: which credential each carries, and its bytes.
package struct RequestMix: Sendable {
    /// What has to be remembered of a request to judge its answer.
    package struct Asked: Equatable, Sendable {
        /// Credentials of the request.
        package let count: Int
        /// How many of them are from the file; the others belong to nobody.
        package let known: Int

        package init(count: Int, known: Int) {
            self.count = count
            self.known = known
        }
    }

    private let file: CredentialFile?
    private let choice: LineChoice?
    private let unknown: UnknownCredential
    private let unknownShare: Double
    private var random: SplitMix64
    private var template: RequestTemplate

    /// - Parameters:
    ///   - file: where credentials come from; without it all are unknown.
    ///   - unknownShare: 0...1, share of credentials that belong to nobody.
    ///   - host: value of `Host`.
    ///   - authorization: value of the caller's own `Authorization`.
    ///   - batchSize: credentials of a batch, at least 1.
    package init(
        _ kind: RequestKind, file: CredentialFile?, skew: Skew, unknownShare: Double, seed: UInt64, host: String,
        authorization: String?, batchSize: Int
    ) {
        self.file = file
        choice = file.map { LineChoice(count: $0.lineCount, skew: skew) }
        unknown = UnknownCredential(prefix: file?.prefix ?? Array("iik1_".utf8))
        self.unknownShare = unknownShare
        random = SplitMix64(seed: seed)
        template = RequestTemplate(kind, host: host, authorization: authorization, batchSize: batchSize)
    }

    /// Makes the next request. Its bytes are to be let go before the next call, which would have to copy them otherwise.
    package mutating func next() -> (asked: Asked, bytes: [UInt8]) {
        var known = 0
        for index in template.gaps.indices {
            if let file, let choice, unknownShare == 0 || random.nextUnit() >= unknownShare {
                let line = choice.next(&random)
                let isToken = file.kind(line: line) == CredentialLayout.bearerKind
                template.fill(index, isToken: isToken) { file.copy(line: line, into: &$0, at: $1) }
                known += 1
            } else {
                let isToken = unknown.kind == CredentialLayout.bearerKind
                template.fill(index, isToken: isToken) { unknown.write(into: &$0, at: $1, &random) }
            }
        }
        return (Asked(count: template.gaps.count, known: known), template.bytes)
    }
}
