import Broker
import Testing

struct PercentDecodingTests {
    @Test func `Every byte of ASCII comes back from its escape, in both cases of the digits`() {
        for byte in 0...127 as ClosedRange<UInt8> {
            let digits = (byte < 16 ? "0" : "") + String(byte, radix: 16)
            let expected = String(UnicodeScalar(byte))
            #expect(PercentDecoding.decode("%\(digits)") == expected)
            #expect(PercentDecoding.decode("%\(digits.uppercased())"[...]) == expected)
        }
    }

    @Test func `Bytes above ASCII are text only together`() {
        for byte in 128...255 as ClosedRange<UInt8> {
            #expect(PercentDecoding.decode("%\(String(byte, radix: 16))"[...]) == nil)
        }
        #expect(PercentDecoding.decode("%F0%9D%84%9E") == "𝄞")
        #expect(PercentDecoding.decode("ë%C3%AB") == "ëë")
    }

    @Test(arguments: ["%", "a%", "%4", "%4x", "%x4", "%%41", "% 41", "%-1"])
    func `A broken escape is no text`(text: String) { #expect(PercentDecoding.decode(text[...]) == nil) }

    @Test func `Without an escape the text stays, a plus too`() {
        #expect(PercentDecoding.decode("a+b") == "a+b")
        #expect(PercentDecoding.decode("") == "")
    }
}
