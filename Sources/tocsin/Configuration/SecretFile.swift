import Foundation

/// A file named by a `…_file` key of the configuration. Its contents never appear in messages.
struct SecretFile {
    private let path: String
    /// The configuration key, for error texts.
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

    /// - Parameter content: what each line is, for the error when the file is empty.
    /// - Throws: `ConfigurationError` when it cannot be read, or is empty.
    func lines(of content: String) throws(ConfigurationError) -> [String] {
        let lines = try text().split(whereSeparator: \.isNewline).map(String.init)
        guard !lines.isEmpty else { throw ConfigurationError("\(key): \(path) is empty: one \(content) a line") }
        return lines
    }
}
