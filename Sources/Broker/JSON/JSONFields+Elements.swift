public import NIOCore

extension JSONFields {
    /// The elements of an array as unparsed text; nil when missing or not an array.
    public func elements(_ key: String) -> [ByteBuffer]? {
        guard let text = raw(key), text.readableBytesView.first == UInt8(ascii: "[") else { return nil }
        let bytes = text.readableBytesUInt8Span
        var scanner = JSONScanner(from: 1, to: bytes.count, form: .original)
        var elements: [ByteBuffer] = []
        scanner.skipSpace(bytes)
        do {
            // The text was validated with the object, so that each element is followed by a comma or the bracket.
            while try scanner.peek(bytes) != UInt8(ascii: "]") {
                let start = scanner.at
                try scanner.value(bytes)
                guard let element = text.getSlice(at: text.readerIndex + start, length: scanner.at - start) else {
                    return nil
                }
                elements.append(element)
                scanner.skipSpace(bytes)
                if try scanner.peek(bytes) == UInt8(ascii: ",") {
                    scanner.at += 1
                    scanner.skipSpace(bytes)
                }
            }
        } catch {
            return nil
        }
        return elements
    }
}
