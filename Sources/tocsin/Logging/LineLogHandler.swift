import Broker
import Foundation
import Logging
import NIOCore

/// Writes each log event as one line to standard error: text for people, JSON for programs.
///
/// Control characters in values are escaped, so that nobody can inject log lines, and values are truncated to 1 KiB.
struct LineLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level
    private let isJSON: Bool
    private let write: @Sendable (ByteBuffer) -> Void

    /// - Parameter write: takes each line with its line end. Default: standard error.
    init(
        settings: LogSettings,
        write: @escaping @Sendable (ByteBuffer) -> Void = { line in
            line.withUnsafeReadableBytes { _ = StandardStream.error.write($0) }
        }
    ) {
        self.write = write
        logLevel = settings.level
        isJSON =
            switch settings.format {
            case .json: true
            case .text: false
            case .auto: isatty(STDERR_FILENO) == 0
            }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        let pairs = all.map { ($0.key, Self.cut("\($0.value)")) }
        let message = Self.cut("\(event.message)")
        let time = Date().formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true))
        var line = ByteBuffer()
        if isJSON {
            line.writeJSONObject { json in
                json.string("time", time + "Z")
                json.string("level", event.level.rawValue)
                json.string("message", message)
                for (key, value) in pairs { json.string(key, value) }
            }
            line.writeString("\n")
        } else {
            line.writeString("\(time)Z \(event.level.rawValue.uppercased()) \(Self.escaped(message))")
            for (key, value) in pairs { line.writeString("  \(Self.escaped(key))=\(Self.plain(value))") }
            line.writeString("\n")
        }
        write(line)
    }

    /// Truncates to 1 KiB, counted in bytes: a Swift Character can have any number of them.
    private static func cut(_ text: String) -> String {
        guard text.utf8.count > 1024 else { return text }
        var cut = String.UnicodeScalarView(), bytes = 0
        for scalar in text.unicodeScalars {
            bytes += UTF8.width(scalar)
            guard bytes <= 1024 else { break }
            cut.append(scalar)
        }
        return String(cut)
    }

    /// Escapes characters that end a line or control a terminal.
    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                escaped += "\\u{\(String(scalar.value, radix: 16))}"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    private static func plain(_ text: String) -> String {
        let plain = escaped(text)
        guard plain.contains(where: { $0 == " " || $0 == "\"" }) else { return plain }
        return "\"\(plain.replacing("\"", with: "\\\""))\""
    }
}
