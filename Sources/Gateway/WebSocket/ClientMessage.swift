import Broker
import NIOCore

/// Converts a browser's text into a message to its route's groups (`receive: group_send`).
enum ClientMessage {
    /// The JSON object with `"type":"receive"`, whatever type the browser gave: `type` selects a method of Django's consumers,
    /// which a browser must not be able to choose. It goes last because the last of several equal keys counts, and a browser
    /// can hide a `type` with escapes. nil when the text is not a JSON object.
    static func message(from text: ByteBuffer) -> ByteBuffer? {
        guard var object = try? JSONText.object(text, removing: [.stamp, .channels, .type]).text,
            var message = object.readSlice(length: object.readableBytes - 1)
        else { return nil }
        let isEmpty = message.readableBytesView.dropFirst().allSatisfy {
            $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t")
        }
        message.writeString(isEmpty ? #""type":"receive"}"# : #","type":"receive"}"#)
        return message
    }
}
