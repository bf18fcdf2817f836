import AdministrationAPI

/// Aligned columns, two spaces apart, without trailing spaces.
struct Table {
    let columns: [String]
    var rows: [[String]] = []

    init(_ columns: [String]) {
        self.columns = columns
    }

    mutating func add(_ row: [String?]) {
        rows.append(row.map { SafeText.visible($0 ?? "-") })
    }

    func render(withHeader: Bool = true) -> String {
        let lines = (withHeader ? [columns] : []) + rows
        let widths = columns.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            var text = ""
            for (column, cell) in line.enumerated() {
                text += column == line.count - 1 ? cell : cell.padded(to: widths[column] + 2)
            }
            return text
        }.joined(separator: "\n")
    }
}

/// Names and values, one pair a line. Names without a value are left out.
struct FieldList {
    private var fields: [(name: String, value: String)] = []

    mutating func add(_ name: String, _ value: String?) {
        if let value, !value.isEmpty { fields.append((name, SafeText.visible(value))) }
    }

    func render() -> String {
        let width = fields.map(\.name.count).max() ?? 0
        return fields.map { $0.name.padded(to: width + 2) + $0.value }.joined(separator: "\n")
    }
}

/// Text from elsewhere, made safe to print.
enum SafeText {
    /// Escapes everything that could move the cursor or change the direction of writing: a name must not control a terminal.
    static func visible(_ text: String) -> String {
        var safe = ""
        for scalar in text.unicodeScalars {
            if isHarmless(scalar) {
                safe.unicodeScalars.append(scalar)
            } else {
                safe += "\\u{\(String(scalar.value, radix: 16))}"
            }
        }
        return safe
    }

    /// Replaces everything that begins like a credential of Countersign, also one that was cut short. For messages that repeat
    /// what somebody typed.
    static func withoutCredentials(_ text: String) -> String {
        text.replacing(/[a-z]{2}[kbrac]1_[0-9A-Za-z]{11}_[0-9A-Za-z]*/, with: "<redacted>")
    }

    private static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}

/// Prints a list of any length page by page, so that memory holds one page and the first lines appear at once.
struct PagedList<Item: Codable & Sendable> {
    let path: String
    let filters: [(name: String, value: String?)]
    let columns: [String]
    let row: (Item) -> [String?]
    /// The list begins after this item; nil: at its beginning.
    var start: String?
    /// Whether the names of the columns come first.
    var hasHeader = true

    /// - Returns: the last item, if there was one, and where the last page began.
    @discardableResult
    func print(_ connection: ControlConnection, json: Bool) async throws -> (last: Item?, after: String?) {
        var after = start
        var began = after
        var isFirst = hasHeader
        var last: Item?
        repeat {
            let query = filters + [("limit", String(PageLimits.itemsMax)), ("after", after)]
            let page: PageResource<Item> = try await connection.send(.GET, path, query: query)
            if json {
                for item in page.items { try Console.json(item) }
            } else if isFirst || !page.items.isEmpty {
                var table = Table(columns)
                for item in page.items { table.add(row(item)) }
                try Console.line(table.render(withHeader: isFirst))
            }
            isFirst = false
            last = page.items.last ?? last
            began = after
            after = page.next
        } while after != nil
        return (last, began)
    }
}
