public import Broker

/// A group name with placeholders for the user, path parameters and claims: `{user}isInsufficient`, `team.{claims.team}`.
public struct GroupTemplate: Sendable, Equatable {
    private enum Part: Sendable, Equatable { case literal(String), variable(String) }
    private let parts: [Part]
    public let text: String

    /// - Throws: `TemplateError`, which describes what is wrong.
    ///
    /// - Parameter isPattern: whether `*` and `?` are allowed.
    public init(_ text: String, isPattern: Bool = false) throws(TemplateError) {
        var parts: [Part] = []
        var rest = text[...]
        while let open = rest.firstIndex(of: "{") {
            guard let close = rest[open...].firstIndex(of: "}") else {
                throw TemplateError("the group \"\(text)\" has a \"{\" without \"}\"")
            }
            if open > rest.startIndex { parts.append(.literal(String(rest[..<open]))) }
            parts.append(.variable(String(rest[rest.index(after: open)..<close])))
            rest = rest[rest.index(after: close)...]
        }
        if !rest.isEmpty { parts.append(.literal(String(rest))) }
        guard !parts.isEmpty else { throw TemplateError("a group of the route is empty") }
        self.parts = parts
        self.text = text
        for case .literal(var literal) in parts {
            if isPattern { literal = literal.replacing("*", with: "x").replacing("?", with: "x") }
            do { _ = try GroupName(literal) } catch { throw TemplateError("the group \"\(text)\": \(error)") }
        }
    }

    /// The values it needs: `user`, `claims.NAME`, names of path parameters.
    public var variables: Set<String> {
        Set(parts.compactMap { if case .variable(let name) = $0 { name } else { nil } })
    }

    /// The template as a pattern: `*` and `?` in its own text are wildcards. nil when a value contains a wildcard, or cannot be
    /// part of a group name at all.
    func pattern(_ values: [String: String]) -> GroupPattern? {
        var text = ""
        for part in parts {
            switch part {
            case .literal(let literal): text += literal
            case .variable(let variable):
                guard let value = values[variable], (try? GroupName(value)) != nil else { return nil }
                text += value
            }
        }
        return GroupPattern(text)
    }

    /// - Throws: `NameError` when the values do not form a group name. An empty or missing value is an error: otherwise everybody
    ///   who lacks a claim would share one group.
    public func resolve(_ values: [String: String]) throws(NameError) -> GroupName {
        var name = ""
        for part in parts {
            switch part {
            case .literal(let text): name += text
            case .variable(let variable): name += try GroupName(values[variable] ?? "").text
            }
        }
        return try GroupName(name)
    }
}
