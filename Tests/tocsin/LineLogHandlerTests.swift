import Foundation
import Logging
import NIOCore
import Synchronization
import Testing

@testable import tocsin

/// One event is one line, whatever it contains.
struct LineLogHandlerTests {
    private final class Lines: Sendable {
        private let state = Mutex<[String]>([])
        func add(_ line: ByteBuffer) { state.withLock { $0.append(String(buffer: line)) } }
        var all: [String] { state.withLock { $0 } }
    }

    private func line(
        _ format: LogSettings.Format, _ message: String, _ metadata: Logger.Metadata = [:],
        level: Logger.Level = .warning
    ) -> String {
        var settings = LogSettings()
        settings.format = format
        settings.level = .trace
        let lines = Lines()
        var logger = Logger(label: "test") { _ in LineLogHandler(settings: settings, write: lines.add) }
        logger[metadataKey: "gateway"] = "gw-1"
        logger.log(level: level, "\(message)", metadata: metadata)
        #expect(lines.all.count == 1)
        return lines.all.first ?? ""
    }

    private let hostile = [
        "a\nb", "a\r\nERROR forged", "\u{1b}[2J\u{1b}]0;x\u{7}", "\0", "\u{85}", "\u{2028}x\u{2029}", "\u{9b}31m",
        "\u{202e}drawkcab", "\u{7f}",
        "\t", "\u{feff}", "a\u{200b}b", "\u{8}\u{8}\u{8}",
    ]

    private func expectHarmless(_ line: String) {
        #expect(line.hasSuffix("\n"))
        for scalar in line.unicodeScalars.dropLast() {
            let category = scalar.properties.generalCategory
            #expect(
                category != .control && category != .lineSeparator && category != .paragraphSeparator,
                "\(line.debugDescription)")
        }
    }

    @Test func `Text for people: time, level, message, then what belongs to it in order`() {
        let line = line(.text, "listening", ["b": "2", "a": "one two"])
        let pattern = #/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z WARNING listening  a="one two"  b=2  gateway=gw-1\n$/#
        #expect(line.contains(pattern), "\(line)")
    }

    @Test func `JSON for programs: one object a line`() throws {
        let line = line(.json, "listening", ["clients": "127.0.0.1:80", "n": "\(5)"], level: .notice)
        let object = try JSONDecoder().decode([String: String].self, from: Data(line.utf8))
        #expect(object["level"] == "notice" && object["message"] == "listening")
        #expect(object["clients"] == "127.0.0.1:80" && object["n"] == "5" && object["gateway"] == "gw-1")
        #expect(object["time"]?.contains(#/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/#) == true)
    }

    @Test func `Control characters of foreign text are escaped, in values, messages and keys, and it stays one line`() {
        for text in hostile {
            expectHarmless(line(.text, "message", ["value": "\(text)"]))
            expectHarmless(line(.text, text))
            expectHarmless(line(.text, "message", [text: "value"]))
        }
        #expect(line(.text, "m", ["v": "a\nb"]).hasSuffix(#"gateway=gw-1  v=a\u{a}b"# + "\n"))
        #expect(!line(.text, "m", ["v": "\u{202e}"]).unicodeScalars.contains("\u{202e}"))
    }

    @Test func `In JSON the same, and the text comes back as it was`() throws {
        for text in hostile {
            let line = line(.json, text, ["value": "\(text)"])
            #expect(line.dropLast().allSatisfy { $0 != "\n" && $0 != "\r" && $0 != "\0" && $0 != "\u{1b}" })
            let object = try JSONDecoder().decode([String: String].self, from: Data(line.utf8))
            #expect(object["value"] == text && object["message"] == text)
        }
    }

    @Test func `A value cannot forge another`() {
        #expect(line(.text, "m", ["v": #"x"  level=error  y="z"#]).hasSuffix(#"  v="x\"  level=error  y=\"z""# + "\n"))
    }

    @Test(arguments: [LogSettings.Format.text, .json])
    func `A value is cut at 1 KiB, counted in bytes`(format: LogSettings.Format) {
        let accents = "e" + String(repeating: "\u{301}", count: 1 << 20)
        for text in [String(repeating: "x", count: 1 << 20), accents, String(repeating: "€", count: 1 << 18)] {
            #expect(line(format, "m", ["v": "\(text)"]).utf8.count < 1200)
            #expect(line(format, text).utf8.count < 1200)
        }
        #expect(
            line(format, "m", ["v": "\(String(repeating: "x", count: 1024))"]).contains(
                String(repeating: "x", count: 1024)))
    }

    @Test func `What is below the level is not written`() {
        var settings = LogSettings()
        settings.level = .error
        let lines = Lines()
        let logger = Logger(label: "test") { _ in LineLogHandler(settings: settings, write: lines.add) }
        logger.warning("no")
        logger.error("yes")
        #expect(lines.all.count == 1)
    }
}
