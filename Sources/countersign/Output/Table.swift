/// Aligned columns, two spaces apart, no line at its end longer than its text.
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

/// Names and values below each other; what has no value is left out.
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

/// Text from elsewhere that cannot move the cursor or turn the direction of writing: a name is no command to a terminal.
enum SafeText {
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
