import ArgumentParser
import Broker
import NIOCore

/// The `--json` option of commands that print data.
struct OutputOptions: ParsableArguments {
    @Flag(name: .long, help: "Print JSON for programs instead of text for people.")
    var json = false
}

/// The text as a JSON string, including quotation marks.
func jsonString(_ text: String) -> String {
    var bytes = ByteBuffer()
    JSONText.appendString(text.utf8, to: &bytes)
    return String(buffer: bytes)
}
