import Broker
import Foundation

/// Rows for people, in columns two spaces apart, below a line of names. The last column is as wide as it is.
struct TextTable {
    let names: [String]
    private(set) var rows: [[String]] = []

    init(_ names: String...) { self.names = names }

    mutating func add(_ row: String...) { rows.append(row.map(Self.printable)) }

    /// Without trailing spaces.
    var lines: [String] {
        var widths = names.map(\.count)
        for row in rows {
            for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) }
        }
        return ([names] + rows).map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                guard column < row.count - 1 else { break }
                line += String(repeating: " ", count: widths[column] - cell.count + 2)
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }

    func show() {
        for line in lines { tocsin.show(line) }
    }

    /// What users and sites have named may contain a terminal's control characters.
    private static func printable(_ cell: String) -> String {
        String(
            String.UnicodeScalarView(
                cell.unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }))
    }
}

/// A time of Redis' clock for people: 2026-11-28T16:00:00Z.
///
/// - Parameter seconds: since 1970.
func readable(_ seconds: Double?) -> String {
    seconds.map { Date(timeIntervalSince1970: $0).formatted(.iso8601) } ?? "-"
}

/// - Throws: `CommandFailure`, which shows what a position is.
func position(_ text: String, _ name: String) throws -> Position {
    guard let position = Position(text) else {
        throw CommandFailure("\(name) wants a position like 5f3a.9c01ab23de:17, not \"\(text)\"")
    }
    return position
}
