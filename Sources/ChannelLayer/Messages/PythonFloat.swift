import Broker

/// Floats as Python's `repr`, and so its `json.dumps`, writes them: the shortest digits that read back as the same
/// number, always with a point or an exponent, so that a reader can tell a float from an integer.
///
///     12.0   -0.0   0.0001   1e-05   9007199254740994.0   1e+16   1.7976931348623157e+308
///
/// The digits come from the standard library, which finds the same ones. What may differ is where the exponent form
/// begins: in Python below 1e-4 and from 1e16 on (`float_repr_style` "short": `float_repr` in floatobject.c).
enum PythonFloat {
    /// Writes the text of a number; `null` for what JSON cannot spell: NaN and the infinities.
    static func write(_ value: Double, to writer: inout ByteWriter) {
        guard value.isFinite else {
            writer.text("null")
            return
        }
        var text = FloatText()
        value.write(to: &text)
        let magnitude = value.magnitude
        // Here every version of the standard library agrees with Python. 2^53 is the first that has disagreed.
        if magnitude == 0 || (magnitude >= 1e-4 && magnitude < 0x1p53) {
            self.write(text, 0..<text.count, to: &writer)
        } else {
            self.rewrite(text, to: &writer)
        }
    }

    /// Takes digits and exponent out of a text and lays them out by Python's rule.
    private static func rewrite(_ text: FloatText, to writer: inout ByteWriter) {
        var digits = FloatText()
        // The number is 0.DIGITS times ten to the power of `point`.
        var point = 0
        var hasPoint = false
        var at = 0
        if text.bytes[0] == UInt8(ascii: "-") {
            writer.byte(UInt8(ascii: "-"))
            at = 1
        }
        while at < text.count, text.bytes[at] | 0x20 != UInt8(ascii: "e") {
            let byte = text.bytes[at]
            at += 1
            if byte == UInt8(ascii: ".") {
                hasPoint = true
            } else if byte == UInt8(ascii: "0"), digits.count == 0 {
                if hasPoint { point -= 1 }
            } else {
                if !hasPoint { point += 1 }
                digits.append(byte)
            }
        }
        while digits.count > 1, digits.bytes[digits.count - 1] == UInt8(ascii: "0") {
            digits.count -= 1
        }
        point += self.exponent(text, after: at)
        if point > 16 || point < -3 {
            self.writeWithExponent(digits, point - 1, to: &writer)
        } else {
            self.writePlain(digits, point, to: &writer)
        }
    }

    /// The number after the `e` at offset `start`; 0 when there is none.
    private static func exponent(_ text: FloatText, after start: Int) -> Int {
        guard start + 1 < text.count else { return 0 }
        var exponent = 0
        for at in start + 1..<text.count where 0x30...0x39 ~= text.bytes[at] {
            exponent = exponent * 10 + Int(text.bytes[at] - 0x30)
        }
        return text.bytes[start + 1] == UInt8(ascii: "-") ? -exponent : exponent
    }

    /// `1.5e-07`: one digit before the point, no point without a fraction, two digits of exponent at least.
    private static func writeWithExponent(_ digits: FloatText, _ exponent: Int, to writer: inout ByteWriter) {
        self.write(digits, 0..<1, to: &writer)
        if digits.count > 1 {
            writer.byte(UInt8(ascii: "."))
            self.write(digits, 1..<digits.count, to: &writer)
        }
        writer.text(exponent < 0 ? "e-" : "e+")
        let magnitude = exponent.magnitude
        if magnitude >= 100 {
            writer.byte(UInt8(ascii: "0") + UInt8(magnitude / 100))
        }
        writer.byte(UInt8(ascii: "0") + UInt8(magnitude / 10 % 10))
        writer.byte(UInt8(ascii: "0") + UInt8(magnitude % 10))
    }

    /// `0.00015`, `150.0`, `15.5`.
    private static func writePlain(_ digits: FloatText, _ point: Int, to writer: inout ByteWriter) {
        if point <= 0 {
            writer.text("0.")
            writer.repeating(UInt8(ascii: "0"), count: -point)
            self.write(digits, 0..<digits.count, to: &writer)
        } else if point >= digits.count {
            self.write(digits, 0..<digits.count, to: &writer)
            writer.repeating(UInt8(ascii: "0"), count: point - digits.count)
            writer.text(".0")
        } else {
            self.write(digits, 0..<point, to: &writer)
            writer.byte(UInt8(ascii: "."))
            self.write(digits, point..<digits.count, to: &writer)
        }
    }

    private static func write(_ text: FloatText, _ range: Range<Int>, to writer: inout ByteWriter) {
        for at in range {
            writer.byte(text.bytes[at])
        }
    }
}

/// Up to 32 characters without an allocation; the longest text of a `Double` has 24.
private struct FloatText: TextOutputStream {
    var bytes = SIMD32<UInt8>()
    var count = 0

    mutating func append(_ byte: UInt8) {
        guard self.count < 32 else { return }
        self.bytes[self.count] = byte
        self.count += 1
    }

    mutating func write(_ string: String) {
        for byte in string.utf8 {
            self.append(byte)
        }
    }

    /// The standard library's own way for ASCII, which spares a `String` on the heap for texts of 16 characters and
    /// more. Should it ever go away, `write` is called instead.
    mutating func _writeASCII(_ buffer: UnsafeBufferPointer<UInt8>) {
        for byte in buffer {
            self.append(byte)
        }
    }
}
