import Logging

/// The `log:` section of the configuration.
struct LogSettings {
    enum Format: String, CaseIterable { case auto, text, json }

    /// Default: notice.
    var level = Logger.Level.notice
    /// `auto`: text on a terminal, JSON otherwise.
    var format = Format.auto

    init() {}

    init(_ reader: ConfigurationReader) throws(ConfigurationError) {
        if let text = try reader.text("level") {
            guard let level = Logger.Level(rawValue: text.lowercased()) else {
                let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
                throw reader.bad("level", "must be one of \(levels), not \"\(text)\"")
            }
            self.level = level
        }
        if let text = try reader.text("format") {
            guard let format = Format(rawValue: text.lowercased()) else {
                throw reader.bad("format", "must be auto, text or json, not \"\(text)\"")
            }
            self.format = format
        }
        try reader.finish()
    }
}
