import ArgumentParser
import Broker
import NIOCore

/// The `--json` option of commands that print data.
struct OutputOptions: ParsableArguments {
    @Flag(name: .long, help: "Print JSON for programs instead of text for people.")
    var json = false
}

extension JSONWriter {
    /// One object, on one line.
    static func line(_ entries: (inout JSONWriter) -> Void) -> String { String(buffer: object(entries)) }

    /// A message of a group, on one line.
    static func message(_ json: ByteBuffer, at position: String?) -> String {
        line { line in
            line.string("position", position)
            line.raw("message", json)
        }
    }

    /// A list of objects, each on a line of its own.
    static func lines<Element>(_ elements: [Element], _ entries: (Element, inout JSONWriter) -> Void) -> String {
        String(
            buffer: array(.lines) { json in
                for element in elements { json.object { entries(element, &$0) } }
            })
    }
}
