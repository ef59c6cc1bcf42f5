import Foundation

/// A file that a `…_file` key of the configuration names. What is in it is in no message.
struct SecretFile {
    private let path: String
    /// The configuration's key, for messages.
    private let key: String

    init(_ path: String, key: String) {
        self.path = path
        self.key = key
    }

    /// - Throws: `ConfigurationError` when it cannot be read.
    func text() throws(ConfigurationError) -> String {
        do {
            return try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw ConfigurationError("\(key): cannot read \(path): \(error.localizedDescription)")
        }
    }

    /// - Parameter content: what a line is, for the message that there is none.
    /// - Throws: `ConfigurationError` when it cannot be read, or is empty.
    func lines(of content: String) throws(ConfigurationError) -> [String] {
        let lines = try text().split(whereSeparator: \.isNewline).map(String.init)
        guard !lines.isEmpty else { throw ConfigurationError("\(key): \(path) is empty: one \(content) a line") }
        return lines
    }
}
