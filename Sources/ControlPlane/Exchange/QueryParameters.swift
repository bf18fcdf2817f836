import AdministrationAPI
import NetworkAddress

/// The query of a request. Only parameters that the route knows, each once: a misspelt `chain` must not be ignored.
struct QueryParameters: Sendable {
    private var values: [String: String] = [:]

    init(_ query: String?, allowed: [String]) throws(Problem) {
        for pair in (query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts.first.flatMap({ PercentEncoding.decode($0, plusIsSpace: true) }),
                let value = PercentEncoding.decode(parts.count > 1 ? parts[1] : "", plusIsSpace: true)
            else { throw Problem(.badQuery, detail: "The query is not percent-encoded UTF-8.") }
            guard allowed.contains(name) else {
                let safe = MalformedRequest.safeName(name)
                let detail = "The parameter \(safe.map { "'\($0)'" } ?? "given") is not known here."
                throw Problem(.badQuery, detail: detail, member: safe)
            }
            guard values.updateValue(value, forKey: name) == nil else {
                throw Problem(.badQuery, detail: "The parameter '\(name)' stands twice.", member: name)
            }
        }
    }

    /// The value of a parameter, nil when it is absent.
    subscript(name: String) -> String? { values[name] }

    /// `true`, `false`, or absent, which is false.
    func flag(_ name: String) throws(Problem) -> Bool {
        switch values[name] {
        case nil, "false": return false
        case "true": return true
        default: throw Problem(.badQuery, detail: "'\(name)' must be true or false.", member: name)
        }
    }

    /// How many items the page shall hold.
    func pageLimit() throws(Problem) -> Int {
        guard let text = values["limit"] else { return PageLimits.itemsDefault }
        guard let limit = Int(text), (1...PageLimits.itemsMax).contains(limit) else {
            throw Problem(.badQuery, detail: "'limit' must be 1 to \(PageLimits.itemsMax).", member: "limit")
        }
        return limit
    }
}
