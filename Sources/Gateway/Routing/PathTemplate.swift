import Broker

/// A route's path: literal segments and `{name}` segments, each of which takes one segment of the request's path.
public struct PathTemplate: Sendable, Equatable {
    private enum Segment: Sendable, Equatable { case literal(String), parameter(String) }
    private let segments: [Segment]
    public let text: String
    public let parameters: [String]

    /// - Throws: `TemplateError`, which describes what is wrong.
    public init(_ text: String) throws(TemplateError) {
        guard text.utf8.first == UInt8(ascii: "/") else {
            throw TemplateError("the path \"\(text)\" does not start with \"/\"")
        }
        var segments: [Segment] = []
        var parameters: [String] = []
        // Bytes, as in `match`: by characters, a slash with a combining mark would not be a slash.
        for bytes in text.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            let part = Substring(bytes)
            if part.hasPrefix("{"), part.hasSuffix("}") {
                let name = String(part.dropFirst().dropLast())
                guard !name.isEmpty,
                    name.utf8.allSatisfy({ $0 == UInt8(ascii: "_") || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7a) })
                else { throw TemplateError("the path \"\(text)\" has a parameter that is not a name") }
                guard name != "user" else {
                    throw TemplateError("the path \"\(text)\" may not set {user}: that is the login's")
                }
                guard !parameters.contains(name) else {
                    throw TemplateError("the path \"\(text)\" names {\(name)} twice")
                }
                parameters.append(name)
                segments.append(.parameter(name))
            } else {
                guard !part.contains("{"), !part.contains("}") else {
                    throw TemplateError("the path \"\(text)\": a {parameter} is a whole segment")
                }
                segments.append(.literal(String(part)))
            }
        }
        self.segments = segments
        self.parameters = parameters
        self.text = text
    }

    /// The percent-decoded values of the parameters; nil when the path does not match. A trailing slash is significant.
    public func match(_ path: String) -> [String: String]? {
        var rest = path.utf8[...], values: [String: String] = [:]
        for segment in segments {
            guard rest.popFirst() == UInt8(ascii: "/") else { return nil }
            let part = rest.prefix { $0 != UInt8(ascii: "/") }
            rest = rest[part.endIndex...]
            switch segment {
            case .literal(let text): guard part.elementsEqual(text.utf8) else { return nil }
            case .parameter(let name):
                guard !part.isEmpty, let value = PercentDecoding.decode(Substring(part)) else { return nil }
                values[name] = value
            }
        }
        return rest.isEmpty ? values : nil
    }
}

/// An error in a template of the configuration.
public struct TemplateError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}
