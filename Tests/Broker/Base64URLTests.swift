import Broker
import Testing

struct Base64URLTests {
    @Test(
        arguments: [
            ([], ""), ([0x66], "Zg"), ([0x66, 0x6f], "Zm8"), ([0x66, 0x6f, 0x6f], "Zm9v"), ([0xfb, 0xff], "-_8"),
            ([0], "AA"),
        ] as [([UInt8], String)])
    func `Bytes have one text`(bytes: [UInt8], text: String) {
        #expect(Base64URL.encode(bytes) == text)
        #expect(Base64URL.decode(text.utf8) == bytes)
    }

    @Test(arguments: ["A", "AAAAA", "AA=", "AA==", "A+", "A/", "AB", "AAB", " AA", "AA\n", "é"])
    func `Any other text is none`(text: String) {
        #expect(Base64URL.decode(text.utf8) == nil)
    }

    @Test func `Every length comes back`() {
        for count in 0..<200 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
            #expect(Base64URL.decode(Base64URL.encode(bytes).utf8) == bytes)
        }
    }
}
