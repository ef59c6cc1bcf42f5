import Broker
import Foundation
import Logging
import NIOCore

/// Writes each event as one line to standard error: text for people, JSON for programs.
///
/// Control characters of foreign text are escaped, so that nobody can write lines of their own into the log, and a
/// value is cut at 1 KiB.
struct LineLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level
    private let isJSON: Bool

    init(settings: LogSettings) {
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
        let pairs = all.map { ($0.key, String("\($0.value)".prefix(1024))) }
        let time = Date().formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true))
        var line = ByteBuffer()
        if isJSON {
            line.writeString(#"{"time":""# + time + #"Z","level":""# + event.level.rawValue + #"","message":"#)
            JSONText.appendString("\(event.message)".utf8, to: &line)
            for (key, value) in pairs {
                line.writeString(",")
                JSONText.appendString(key.utf8, to: &line)
                line.writeString(":")
                JSONText.appendString(value.utf8, to: &line)
            }
            line.writeString("}\n")
        } else {
            line.writeString("\(time)Z \(event.level.rawValue.uppercased()) \(event.message)")
            for (key, value) in pairs { line.writeString("  \(key)=\(Self.plain(value))") }
            line.writeString("\n")
        }
        FileHandle.standardError.write(Data(line.readableBytesView))
    }

    private static func plain(_ text: String) -> String {
        var plain = ""
        for scalar in text.unicodeScalars {
            if scalar.properties.generalCategory == .control {
                plain += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                plain.unicodeScalars.append(scalar)
            }
        }
        return plain.contains(" ") ? "\"\(plain)\"" : plain
    }
}
