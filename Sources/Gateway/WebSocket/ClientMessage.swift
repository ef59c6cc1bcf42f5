import Broker
import NIOCore

/// What a browser's text becomes when a route sends it to its groups (`receive: group_send`).
enum ClientMessage {
    /// The JSON object with `"type":"receive"` as its type, whatever the browser wrote there: `type` names a method of
    /// Django's consumers, and no browser may choose which one is called. It goes last, because the last of several
    /// entries of one key counts, and a browser can spell `type` with escapes. nil when the text is not a JSON object.
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
