public import Broker

/// A group's name with `{user}`, path parameters and the login's claims in it: `{user}isInsufficient`, `team.{claims.team}`.
public struct GroupTemplate: Sendable, Equatable {
    private enum Part: Sendable, Equatable { case literal(String), variable(String) }
    private let parts: [Part]
    public let text: String

    /// - Throws: `TemplateError` naming what is wrong.
    ///
    /// - Parameter isPattern: `*` and `?` are allowed.
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

    /// The values that it needs: `user`, `claims.NAME`, names of path parameters.
    public var variables: Set<String> {
        Set(parts.compactMap { if case .variable(let name) = $0 { name } else { nil } })
    }

    /// A pattern of names: `*` and `?` in the template's own text are wildcards. nil when a value could be read as one, or
    /// cannot be part of a name at all.
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

    /// - Throws: `NameError` when the values do not make a group's name. An empty or missing value makes none: everybody who
    ///   lacks a claim would meet in one group.
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
