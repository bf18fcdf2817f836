/// What answers must be. Whatever is not exactly that is counted.
package struct ExpectedAnswer: Sendable {
    package enum Wanted: Equatable, Sendable {
        case any
        /// Active for each credential of the file, inactive for each that belongs to nobody.
        case active
        /// Inactive for all.
        case inactive
        /// This status, whatever the body.
        case status(Int)

        /// Nil for a text that is none of the words and no status.
        package init?(_ text: String) {
            switch text {
            case "any": self = .any
            case "active": self = .active
            case "inactive": self = .inactive
            default:
                guard let status = Int(text), (200...599).contains(status), text.utf8.count == 3 else { return nil }
                self = .status(status)
            }
        }
    }

    private let wanted: Wanted
    private let kind: RequestKind

    package init(_ wanted: Wanted, of kind: RequestKind) {
        self.wanted = wanted
        self.kind = kind
    }

    /// - Parameter bytes: where `response` was read from.
    package func isMet(by response: Response, _ bytes: Span<UInt8>, asked: RequestMix.Asked) -> Bool {
        switch wanted {
        case .any: true
        case .status(let status): response.status == status
        case .active: isRight(response, bytes, active: asked.known, of: asked.count)
        case .inactive: isRight(response, bytes, active: 0, of: asked.count)
        }
    }

    private func isRight(_ response: Response, _ bytes: Span<UInt8>, active: Int, of count: Int) -> Bool {
        let body = bytes.extracting(response.body)
        switch kind {
        case .introspect:
            guard response.status == 200 else { return false }
            // Inactive has one spelling; active goes on with the credential's own fields.
            return active == 1
                ? body.has(#"{"active":true"#, at: 0)
                : body.count == 16 && body.has(#"{"active":false}"#, at: 0)
        case .verify:
            return response.status == (active == 1 ? 200 : 401)
        case .batch:
            return response.status == 200 && body.has(#"{"results":["#, at: 0)
                && Self.verdicts(body) == (all: count, valid: active)
        }
    }

    /// Counts verdicts and does not compare their order: that is the work of tests, and would make each answer dearer.
    private static func verdicts(_ body: Span<UInt8>) -> (all: Int, valid: Int) {
        var (all, valid) = (0, 0)
        for index in body.indices where body[index] == 0x22 && body.has(#""reason":""#, at: index) {
            all += 1
            if body.has(#""reason":"valid""#, at: index) { valid += 1 }
        }
        return (all, valid)
    }
}
