import Broker

/// Receives the values that a `MessagePackReader` reads.
///
/// Used as a generic parameter rather than an existential, so that validating without writing costs no more than it must.
protocol MessagePackSink {
    mutating func null()
    mutating func bool(_ value: Bool)
    mutating func integer(_ magnitude: UInt64, isNegative: Bool)
    mutating func double(_ value: Double)
    /// A str. Returns the offset of the first byte that is not UTF-8, `nil` when there is none.
    mutating func string(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int?
    mutating func binary(_ bytes: Span<UInt8>, _ range: Range<Int>)
    /// A byte of JSON's structure: a bracket, a comma or a colon.
    mutating func structure(_ byte: UInt8)
}

/// Writes values as compact JSON. Not with a `JSONWriter`: each value of each message comes through here, and the reader knows
/// where the commas are.
struct JSONSink: MessagePackSink {
    var writer: ByteWriter

    mutating func null() {
        self.writer.text("null")
    }

    mutating func bool(_ value: Bool) {
        self.writer.text(value ? "true" : "false")
    }

    mutating func integer(_ magnitude: UInt64, isNegative: Bool) {
        if isNegative {
            self.writer.byte(UInt8(ascii: "-"))
        }
        self.writer.decimal(magnitude)
    }

    mutating func double(_ value: Double) {
        // The shortest digits that parse to the same number, always with a point or an exponent. JSON cannot represent NaN and
        // the infinities.
        guard value.isFinite else { return self.writer.text("null") }
        var text = value.description
        text.withUTF8 { self.writer.bytes(UnsafeRawBufferPointer($0)) }
    }

    mutating func string(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int? {
        JSONText.writeString(bytes, range, to: &self.writer)
    }

    mutating func binary(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        self.writer.byte(UInt8(ascii: "\""))
        Base64.standard.write(bytes.extracting(range), to: &self.writer)
        self.writer.byte(UInt8(ascii: "\""))
    }

    mutating func structure(_ byte: UInt8) {
        self.writer.byte(byte)
    }
}

/// Writes nothing: for values that only need validation.
struct CheckingSink: MessagePackSink {
    mutating func null() {}
    mutating func bool(_ value: Bool) {}
    mutating func integer(_ magnitude: UInt64, isNegative: Bool) {}
    mutating func double(_ value: Double) {}
    mutating func binary(_ bytes: Span<UInt8>, _ range: Range<Int>) {}
    mutating func structure(_ byte: UInt8) {}

    mutating func string(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int? {
        ByteScan.firstInvalid(bytes, range)
    }
}
