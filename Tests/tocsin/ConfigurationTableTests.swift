import Foundation
import Testing

@testable import tocsin

/// Compares the tables of docs/configuration.md with the reader: keys, defaults and ranges.
struct ConfigurationTableTests {
    struct Row: CustomTestStringConvertible {
        /// `gateway.compression.level`; entries of lists are `groups[].match`.
        var path: String
        var defaultText: String
        var meaning: String
        var testDescription: String { path }

        /// `[1 to 60]`
        var range: ClosedRange<Int>? {
            guard let match = meaning.firstMatch(of: /\[(\d+) to (\d+)\]/) else { return nil }
            return Int(match.1)!...Int(match.2)!
        }

        /// A number or a flag in backticks, alone or before a colon.
        var plainDefault: String? {
            defaultText.firstMatch(of: /^`(\d+|true|false|[\d.]+:\d+|\d+[smhd])`(?:$|:)/).map { String($0.1) }
        }
    }

    /// The rows of all sections except `auth`.
    static let rows: [Row] = {
        let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("docs/configuration.md")
        var section = "", rows: [Row] = []
        for line in try! String(contentsOf: page, encoding: .utf8).split(separator: "\n") {
            if line.hasPrefix("#") { section = line.hasPrefix("## ") ? String(line.dropFirst(3)) : "" }
            guard ["redis", "gateway", "routes", "groups", "log"].contains(section), line.hasPrefix("| `") else {
                continue
            }
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count >= 2 else { continue }
            let list = ["routes", "groups"].contains(section) ? "\(section)[]" : section
            for key in cells[0].matches(of: /`([a-z_.]+)`/) {
                rows.append(
                    Row(path: "\(list).\(key.1)", defaultText: cells.count > 2 ? cells[1] : "", meaning: cells.last!))
            }
        }
        return rows
    }()

    /// A file that sets one key, with everything else that is required.
    private func yaml(_ path: String, _ value: String) -> String {
        var parts = path.split(separator: ".").map(String.init)
        let section = parts.removeFirst()
        let key = parts.reversed().reduce(value) { "{ \($1): \($0) }" }
        guard let entry = Self.entries[section] else { return "\(section): \(key)" }
        return "\(section.dropLast(2)): [{ \(entry), \(key.dropFirst(2).dropLast(2)) }]"
    }

    /// The required keys of an entry in a list.
    private static let entries = ["routes[]": "path: /a, groups: [a]", "groups[]": "match: a"]

    private func read(_ yaml: String) throws(ConfigurationError) -> Configuration {
        try Configuration(yaml: yaml, environment: [:])
    }

    private func error(_ yaml: String) -> String? {
        do throws(ConfigurationError) {
            _ = try read(yaml)
            return nil
        } catch {
            return error.description
        }
    }

    @Test func `The page was read`() {
        #expect(Self.rows.count > 60)
        #expect(Self.rows.contains { $0.path == "gateway.compression.level" } && Self.rows.contains { $0.range != nil })
    }

    /// The error for an unknown key lists the known ones.
    @Test(arguments: [
        "redis", "redis.tls", "gateway", "gateway.compression", "gateway.tls", "routes[]", "groups[]",
        "groups[].history", "groups[].escalate", "log",
    ])
    func `The page has the reader's keys, and no others`(section: String) throws {
        let said = try #require(error(yaml("\(section).quite_unheard_of_key", "1")))
        let known = try #require(said.firstMatch(of: /known here: (.*)$/)).1.split(separator: ", ").map(String.init)
        let written = Self.rows.map(\.path).filter { $0.hasPrefix(section + ".") }
        let keys = Set(written.map { String($0.dropFirst(section.count + 1).prefix { $0 != "." }) })
        // Short for redis.tls.ca_file, and described in its row.
        #expect(keys == Set(known).subtracting(["ca_file"]) || section == "redis.tls" && keys == Set(known), "\(said)")
    }

    @Test(arguments: rows.filter { $0.range != nil })
    func `What may be written is what is read`(row: Row) {
        let range = row.range!
        #expect(error(yaml(row.path, "\(range.lowerBound)")) == nil)
        #expect(error(yaml(row.path, "\(range.upperBound)")) == nil)
        #expect(error(yaml(row.path, "\(range.upperBound + 1)")) != nil)
        if range.lowerBound > 0 { #expect(error(yaml(row.path, "\(range.lowerBound - 1)")) != nil) }
    }

    @Test(arguments: rows.filter { $0.plainDefault != nil })
    func `The default is what is read when nothing is said`(row: Row) throws {
        let said = try read(yaml(row.path, row.plainDefault!))
        let section = String(row.path.prefix { $0 != "." })
        let unsaid = try read(Self.entries[section].map { "\(section.dropLast(2)): [{ \($0) }]" } ?? "")
        #expect("\(said)" == "\(unsaid)")
    }
}
