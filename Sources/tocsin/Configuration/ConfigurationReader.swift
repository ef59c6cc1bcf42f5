import Foundation
import Yams

/// Reads one mapping of the YAML file, strictly: a key that nothing has asked for is unknown, and prevents the start.
///
/// Scalars can be overridden by the environment: `gateway.bind` by `TOCSIN_GATEWAY_BIND`, `auth.site.url` by
/// `TOCSIN_AUTH_SITE_URL`.
final class ConfigurationReader {
    let path: String
    private let mapping: Node.Mapping?
    private let environment: [String: String]
    /// Entries of lists have no path, and so no environment variables.
    private let isOverridable: Bool
    /// An entry of a mapping with free keys: its variables can be identified only together with all entries.
    private let isNamed: Bool
    private var known: [String] = []
    /// Keys whose values are mappings with their own readers.
    private var sections: [String] = []

    init(
        path: String, node: Node?, environment: [String: String], isOverridable: Bool = true, isNamed: Bool = false
    ) throws(ConfigurationError) {
        self.path = path
        self.environment = environment
        self.isOverridable = isOverridable
        self.isNamed = isNamed
        switch node {
        case .none, .scalar(Node.Scalar("", .implicit))?: mapping = nil
        case .mapping(let mapping)?: self.mapping = mapping
        case .some(let other):
            if other.null != nil {
                mapping = nil
            } else {
                throw ConfigurationError("\(Self.place(path, other)) must be a mapping of keys")
            }
        }
    }

    func full(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    private static func place(_ path: String, _ node: Node?) -> String {
        let name = path.isEmpty ? "the configuration" : path
        guard let mark = node?.mark else { return name }
        return "\(name) (line \(mark.line))"
    }

    /// An error about the value of this key.
    func bad(_ key: String, _ what: String) -> ConfigurationError {
        ConfigurationError("\(Self.place(full(key), mapping?[key])) \(what)")
    }

    /// A reader for an entry of this key's list.
    func entry(_ key: String, _ index: Int, _ node: Node) throws(ConfigurationError) -> ConfigurationReader {
        try ConfigurationReader(
            path: "\(full(key))[\(index)]", node: node, environment: environment, isOverridable: false)
    }

    func node(_ key: String) -> Node? {
        known.append(key)
        return mapping?[key]
    }

    private func variable(_ key: String) -> String {
        // Other characters cannot be part of a shell's variable names.
        "TOCSIN_" + String(full(key).uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    }

    /// The key's value in the environment.
    func override(_ key: String) -> String? { isOverridable ? environment[variable(key)] : nil }

    /// The value as text, from the environment or the file.
    func text(_ key: String) throws(ConfigurationError) -> String? {
        let node = node(key)
        if let value = override(key) { return value }
        guard let node, node.null == nil else { return nil }
        guard let scalar = node.scalar else { throw bad(key, "must be a single value") }
        return scalar.string
    }

    func integer(_ key: String, _ range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
        guard let text = try text(key) else { return nil }
        guard let number = Int(text.replacing("_", with: "")), range.contains(number) else {
            throw bad(key, "must be a whole number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\"")
        }
        return number
    }

    func flag(_ key: String) throws(ConfigurationError) -> Bool? {
        guard let text = try text(key) else { return nil }
        switch text.lowercased() {
        case "true", "yes", "on", "1": return true
        case "false", "no", "off", "0": return false
        default: throw bad(key, "must be true or false, not \"\(text)\"")
        }
    }

    /// Milliseconds, from `500ms`, `3s`, `5m`, `1h`, `7d`; a bare number is seconds.
    func duration(_ key: String) throws(ConfigurationError) -> Int? {
        guard let text = try text(key) else { return nil }
        guard let milliseconds = Self.milliseconds(text) else {
            throw bad(key, "must be a time like 500ms, 3s, 5m, 1h or 7d, not \"\(text)\"")
        }
        return milliseconds
    }

    static func milliseconds(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let factor: Int? =
            switch text[digits.endIndex...] {
            case "ms": 1
            case "", "s": 1000
            case "m": 60_000
            case "h": 3_600_000
            case "d": 86_400_000
            default: nil
            }
        guard let factor, let number = Int(digits), number <= Int.max / factor else { return nil }
        return number * factor
    }

    /// A list of strings, or a single one; from the environment separated by commas.
    func texts(_ key: String) throws(ConfigurationError) -> [String]? {
        let node = node(key)
        if isOverridable, let value = environment[variable(key)] {
            return value.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
        }
        guard let node, node.null == nil else { return nil }
        if let scalar = node.scalar { return [scalar.string] }
        guard let sequence = node.sequence else { throw bad(key, "must be a list") }
        var texts: [String] = []
        for item in sequence {
            guard let scalar = item.scalar else { throw bad(key, "must be a list of single values") }
            texts.append(scalar.string)
        }
        return texts
    }

    /// Secrets: a list, or a single one. In the environment the whole value is one, because it may contain commas.
    func secrets(_ key: String) throws(ConfigurationError) -> [String]? {
        if isOverridable, let value = environment[variable(key)] {
            _ = node(key)
            return [value]
        }
        return try texts(key)
    }

    func section(_ key: String) throws(ConfigurationError) -> ConfigurationReader {
        sections.append(key)
        return try ConfigurationReader(
            path: full(key), node: node(key), environment: environment, isOverridable: isOverridable)
    }

    /// A list of mappings.
    func sections(_ key: String) throws(ConfigurationError) -> [ConfigurationReader] {
        guard let node = node(key), node.null == nil else { return [] }
        guard let sequence = node.sequence else { throw bad(key, "must be a list of entries, each with its keys") }
        var readers: [ConfigurationReader] = []
        for (index, item) in sequence.enumerated() {
            readers.append(try entry(key, index, item))
        }
        return readers
    }

    /// A mapping whose keys are names chosen by the user.
    func named(_ key: String) throws(ConfigurationError) -> [(name: String, reader: ConfigurationReader)] {
        guard let node = node(key), node.null == nil else { return [] }
        guard let mapping = node.mapping else { throw bad(key, "must be a mapping of names") }
        var readers: [(String, ConfigurationReader)] = []
        for (name, value) in mapping {
            guard let name = name.string else { throw bad(key, "has a name that is not a string") }
            readers.append(
                (
                    name,
                    try ConfigurationReader(
                        path: "\(full(key)).\(name)", node: value, environment: environment, isNamed: true)
                ))
        }
        return readers
    }

    /// Call when all known keys have been read; throws for any other key.
    func finish() throws(ConfigurationError) {
        for (key, value) in mapping ?? [:] {
            guard let name = key.string, known.contains(name) else {
                let name = key.string ?? "?"
                let near = known.min { Self.distance($0, name) < Self.distance($1, name) }
                let hint = near.flatMap { Self.distance($0, name) <= 3 ? "; did you mean \"\($0)\"?" : nil }
                let choices = "; known here: \(known.sorted().joined(separator: ", "))"
                throw ConfigurationError(
                    "unknown key \"\(full(name))\" (line \(key.mark?.line ?? value.mark?.line ?? 0))\(hint ?? choices)")
            }
        }
        guard isOverridable, !path.isEmpty, !isNamed else { return }
        try Self.checkEnvironment(of: path, entries: [self], environment)
    }

    /// Rejects environment variables under this path that match no key of the entries, because they were meant to set something;
    /// except those that container platforms set.
    static func checkEnvironment(
        of path: String, entries: [ConfigurationReader], _ environment: [String: String]
    ) throws(ConfigurationError) {
        let prefix = "TOCSIN_\(path.uppercased().replacing(".", with: "_"))_"
        let variables = Set(
            entries.flatMap { entry in entry.known.filter { !entry.sections.contains($0) }.map(entry.variable) })
        let nested = entries.flatMap { entry in entry.sections.map { entry.variable($0) + "_" } }
        for name in environment.keys.sorted() where name.hasPrefix(prefix) && !variables.contains(name) {
            if nested.contains(where: name.hasPrefix) || ServiceLinks.contain(name, environment) { continue }
            throw ConfigurationError("the environment's \(name) names no key of \(path)")
        }
    }

    /// The Levenshtein distance, for suggesting a similar name.
    static func distance(_ one: String, _ other: String) -> Int {
        let one = Array(one), other = Array(other)
        var row = Array(0...other.count)
        for (i, a) in one.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in other.enumerated() {
                (diagonal, row[j + 1]) = (row[j + 1], min(diagonal + (a == b ? 0 : 1), row[j] + 1, row[j + 1] + 1))
            }
        }
        return row[other.count]
    }
}
