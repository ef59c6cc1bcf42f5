import Foundation
import NIOCore
import Testing

/// One line of Tests/Messages/corpus.txt, which is also used to test group_send (Tests/Functions/test_corpus.py).
struct CorpusMessage: Sendable, CustomTestStringConvertible {
    enum Verdict: String, Sendable, CaseIterable {
        case taken, python, key, type, text, whole, deep, json, object
    }

    var verdict: Verdict
    var name: String
    var bytes: ByteBuffer

    var testDescription: String { "\(verdict): \(name)" }

    static let all: [CorpusMessage] = {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try! String(contentsOf: tests.appendingPathComponent("Messages/corpus.txt"), encoding: .utf8)
        return text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            let parts = line.components(separatedBy: " | ")
            return CorpusMessage(
                verdict: Verdict(rawValue: parts[0])!, name: parts[1],
                bytes: Self.bytes(parts[2...].joined(separator: " | ")))
        }
    }()

    private static func bytes(_ text: String) -> ByteBuffer {
        guard text.hasPrefix("0x") else { return ByteBuffer(string: text) }
        var bytes = ByteBuffer()
        for piece in text.dropFirst(2).split(separator: " ") {
            let parts = piece.split(separator: "*")
            let once = hex(parts[0].filter { $0 != "(" && $0 != ")" })
            for _ in 0..<(parts.count == 2 ? Int(parts[1])! : 1) { bytes.writeImmutableBuffer(once) }
        }
        return bytes
    }
}
