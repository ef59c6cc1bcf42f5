import ArgumentParser
import Broker
import NIOCore

/// `--json`, where a command prints data.
struct OutputOptions: ParsableArguments {
    @Flag(name: .long, help: "Print JSON for programs instead of text for people.")
    var json = false
}

/// A text as a JSON string, quotes included.
func jsonString(_ text: String) -> String {
    var bytes = ByteBuffer()
    JSONText.appendString(text.utf8, to: &bytes)
    return String(buffer: bytes)
}
