import Broker

/// The value of `__asgi_channel__`: one name (the layer's `send`) or an array of names (its `group_send`).
enum ChannelNames {
    /// Reads the value from JSON that has been validated.
    ///
    /// - Parameters:
    ///   - bytes: the whole message.
    ///   - range: where the value is; `nil` when the entry is absent.
    /// - Throws: ``MessageError`` with `channels` when the value is neither a string nor an array of strings.
    static func read(_ bytes: Span<UInt8>, _ range: Range<Int>?) throws(MessageError) -> [String] {
        guard let range else { return [] }
        var names: [String] = []
        var at = range.lowerBound
        // In valid JSON these bytes can come between strings in one order only, so no grammar is needed; only a nested array
        // must be distinguished from the outer one.
        while at < range.upperBound {
            switch bytes[at] {
            case UInt8(ascii: "\""):
                let end = self.endOfContent(bytes, from: at + 1, to: range.upperBound)
                names.append(JSONText.unescaped(bytes, at + 1..<end))
                at = end + 1
            case UInt8(ascii: "[") where at == range.lowerBound:
                at += 1
            case UInt8(ascii: "]"), UInt8(ascii: ","), 0x20, 0x09, 0x0A, 0x0D:
                at += 1
            default:
                throw MessageError(offset: at, reason: .channels)
            }
        }
        return names
    }

    /// The offset of the quotation mark that ends a string.
    private static func endOfContent(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> Int {
        var at = start
        while at < end, bytes[at] != UInt8(ascii: "\"") {
            at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1
        }
        return min(at, end)
    }
}
