/// Scans the entries of the outermost object and removes the reserved ones.
///
/// An entry after a kept one is removed with the comma before it, any other with the comma after it:
///
///     { "__tocsin__":"P", "a":1, "__asgi_channel__":"c", "b":2 }
///       └──────────────┘┘      └───────────────────────┘
struct JSONObjectScanner: ~Copyable {
    var scanner: JSONScanner
    /// Where the stamp's contents are, if the first entry is a stamp.
    private(set) var stamp: Range<Int>?
    /// Where the value of the last channels entry is.
    private(set) var channels: Range<Int>?
    private let reserved: JSONText.ReservedEntries

    init(_ bytes: Span<UInt8>, removing reserved: JSONText.ReservedEntries, form: JSONText.Form) {
        self.scanner = JSONScanner(from: Self.skipSpace(bytes, from: 0), to: bytes.count, form: form)
        self.reserved = reserved
    }

    /// Scans the whole text. Returns the offset after the object's closing brace.
    mutating func object(_ bytes: Span<UInt8>) throws(JSONError) -> Int {
        guard self.scanner.at < bytes.count, bytes[self.scanner.at] == UInt8(ascii: "{") else {
            throw self.scanner.error(.notAnObject)
        }
        self.scanner.at += 1
        self.scanner.skipSpace(bytes)
        if try self.scanner.peek(bytes) == UInt8(ascii: "}") {
            self.scanner.at += 1
        } else {
            try self.entries(bytes)
        }
        let end = self.scanner.at
        self.scanner.at = Self.skipSpace(bytes, from: end)
        guard self.scanner.at == bytes.count else { throw self.scanner.error(.trailing) }
        return end
    }

    /// Scans all entries and the closing brace.
    private mutating func entries(_ bytes: Span<UInt8>) throws(JSONError) {
        var isFirst = true
        var hasKept = false
        // Where to cut if the next entry must be removed, and the splice's state there.
        var cut = self.scanner.at
        var mark = self.scanner.splice.mark
        while true {
            if try self.entry(bytes, isFirst: isFirst) {
                hasKept = true
            } else {
                self.scanner.splice.rewind(to: mark)
                self.scanner.splice.replace(cut..<self.scanner.at, of: bytes)
            }
            isFirst = false
            self.scanner.skipSpace(bytes)
            let next = try self.scanner.peek(bytes)
            if next == UInt8(ascii: "}") {
                self.scanner.at += 1
                return
            }
            guard next == UInt8(ascii: ",") else { throw self.scanner.error(.unexpectedByte) }
            if !hasKept {
                // All entries so far were removed, and the comma with the last of them.
                self.scanner.splice.replace(self.scanner.at..<self.scanner.at + 1, of: bytes)
            }
            cut = hasKept ? self.scanner.at : self.scanner.at + 1
            mark = self.scanner.splice.mark
            self.scanner.at += 1
            self.scanner.skipSpace(bytes)
        }
    }

    /// Scans one entry. Returns whether it is kept.
    private mutating func entry(_ bytes: Span<UInt8>, isFirst: Bool) throws(JSONError) -> Bool {
        let key = try self.scanner.key(bytes)
        let name = JSONText.ReservedEntries.named(bytes, key)
        let start = self.scanner.at
        try self.scanner.value(bytes)
        if name == .stamp, isFirst, bytes[start] == UInt8(ascii: "\"") {
            self.stamp = start + 1..<self.scanner.at - 1
        } else if name == .channels {
            self.channels = start..<self.scanner.at
        }
        return name.isEmpty || !self.reserved.contains(name)
    }

    /// White space around the object is not part of its text.
    private static func skipSpace(_ bytes: Span<UInt8>, from start: Int) -> Int {
        var at = start
        while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x0A || bytes[at] == 0x0D || bytes[at] == 0x09 {
            at += 1
        }
        return at
    }
}
