/// Scans and validates JSON tokens (RFC 8259). For the entries of an object see `JSONObjectScanner`.
///
/// Iterative, with one bit per open container, so that no text can exhaust the stack. Methods take the bytes as a
/// parameter because a `Span` cannot be stored in a property.
struct JSONScanner: ~Copyable {
    /// Offset of the next byte to examine. Never beyond `end`.
    var at: Int
    let end: Int
    var splice: ByteSplice
    var hadLineBreaks = false
    private let form: JSONText.Form
    /// Bit n is set when the container at depth n is an object. 1024 bits, enough for `maximumNesting`.
    private var objects = SIMD16<UInt64>()

    /// - Parameters:
    ///   - start: offset of the first byte to scan, which is also the first that the splice keeps.
    ///   - end: number of bytes.
    init(from start: Int, to end: Int, form: JSONText.Form) {
        self.at = start
        self.end = end
        self.splice = ByteSplice(from: start)
        self.form = form
    }

    /// Scans one value inside the outermost object.
    mutating func value(_ bytes: Span<UInt8>) throws(JSONError) {
        var depth = 1
        values: while true {
            let first = try self.peek(bytes)
            if first == UInt8(ascii: "{") || first == UInt8(ascii: "[") {
                guard depth < JSONText.maximumNesting else { throw self.error(.nesting) }
                depth += 1
                let isObject = first == UInt8(ascii: "{")
                self.setIsObject(isObject, at: depth)
                self.at += 1
                self.skipSpace(bytes)
                // "[" and "]" are two apart in ASCII, and so are "{" and "}".
                if try self.peek(bytes) != first + 2 {
                    if isObject { _ = try self.key(bytes) }
                    continue values
                }
                self.at += 1
                depth -= 1
            } else {
                try self.scalar(bytes, first)
            }
            // A value has ended, and containers around it may end here too.
            while depth > 1 {
                self.skipSpace(bytes)
                let isObject = self.isObject(at: depth)
                let next = try self.peek(bytes)
                if next == UInt8(ascii: ",") {
                    self.at += 1
                    self.skipSpace(bytes)
                    if isObject { _ = try self.key(bytes) }
                    continue values
                }
                guard next == UInt8(ascii: isObject ? "}" : "]") else { throw self.error(.unexpectedByte) }
                self.at += 1
                depth -= 1
            }
            return
        }
    }

    /// Scans a key, its colon and surrounding white space. Returns the key's range, without quotation marks.
    mutating func key(_ bytes: Span<UInt8>) throws(JSONError) -> Range<Int> {
        guard try self.peek(bytes) == UInt8(ascii: "\"") else { throw self.error(.unexpectedByte) }
        let key = try self.string(bytes)
        self.skipSpace(bytes)
        guard try self.peek(bytes) == UInt8(ascii: ":") else { throw self.error(.unexpectedByte) }
        self.at += 1
        self.skipSpace(bytes)
        return key
    }

    private mutating func scalar(_ bytes: Span<UInt8>, _ first: UInt8) throws(JSONError) {
        switch first {
        case UInt8(ascii: "\""): _ = try self.string(bytes)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try self.number(bytes)
        case UInt8(ascii: "t"): try self.literal(bytes, "true")
        case UInt8(ascii: "f"): try self.literal(bytes, "false")
        case UInt8(ascii: "n"): try self.literal(bytes, "null")
        case UInt8(ascii: "N"): try self.notANumber(bytes, "NaN")
        case UInt8(ascii: "I"): try self.notANumber(bytes, "Infinity")
        default: throw self.error(.unexpectedByte)
        }
    }

    private mutating func literal(_ bytes: Span<UInt8>, _ text: StaticString) throws(JSONError) {
        for index in 0..<text.utf8CodeUnitCount {
            guard try self.peek(bytes) == text.utf8Start[index] else { throw self.error(.unexpectedByte) }
            self.at += 1
        }
    }

    /// Scans one of the three literals that Python writes for floats that JSON cannot represent.
    mutating func notANumber(_ bytes: Span<UInt8>, _ text: StaticString) throws(JSONError) {
        let start = self.at
        try self.literal(bytes, text)
        if self.form == .oneLine {
            self.splice.replace(start..<self.at, of: bytes, with: "null")
        }
    }

    /// Skips white space between tokens; CR and LF are dropped from the text.
    @inline(__always)
    mutating func skipSpace(_ bytes: Span<UInt8>) {
        while self.at < self.end, bytes[self.at] <= 0x20 {
            switch bytes[self.at] {
            case 0x20, 0x09: self.at += 1
            case 0x0A, 0x0D: self.lineBreak(bytes)
            default: return
            }
        }
    }

    private mutating func lineBreak(_ bytes: Span<UInt8>) {
        self.hadLineBreaks = true
        if self.form == .oneLine {
            self.splice.replace(self.at..<self.at + 1, of: bytes)
        }
        self.at += 1
    }

    /// The next byte, without consuming it.
    @inline(__always)
    func peek(_ bytes: Span<UInt8>) throws(JSONError) -> UInt8 {
        guard self.at < self.end else { throw self.error(.unterminated) }
        return bytes[self.at]
    }

    func error(_ reason: JSONError.Reason) -> JSONError {
        JSONError(offset: self.at, reason: reason)
    }

    private func isObject(at depth: Int) -> Bool {
        self.objects[depth >> 6] >> UInt64(depth & 63) & 1 == 1
    }

    private mutating func setIsObject(_ isObject: Bool, at depth: Int) {
        let bit: UInt64 = 1 << UInt64(depth & 63)
        if isObject {
            self.objects[depth >> 6] |= bit
        } else {
            self.objects[depth >> 6] &= ~bit
        }
    }
}
