import Broker
import NIOCore
import Testing

struct JSONFuzzTests {
    private static let seeds = [
        #"{"type": "receive", "isInsufficient:": true, "balance": 12.5, "__asgi_channel__": ["a!b", "c!d"]}"#,
        #"{"__tocsin__":"5f3a.9c01ab23de:17","a":[1,-2.5e+10,{"b":null,"c":[]},"\u00e9\ud83d\ude00"],"é":"😀"}"#,
        "{\n  \"x\": NaN,\r\n  \"y\": [Infinity, -Infinity],\n  \"__tocsin__\": {}\n}",
    ]

    @Test
    func `Damaged text is refused or cleaned into text that needs no further cleaning`() throws {
        var random = SystemIndependentGenerator(state: 20_260_807)
        var accepted = 0
        for round in 0..<20_000 {
            var bytes = Array(Self.seeds[round % Self.seeds.count].utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[index] = UInt8.random(in: .min ... .max, using: &random)
                case 1: bytes.remove(at: index)
                case 2: bytes.insert("{}[]:,\"\\ \n\t0e.-".utf8.randomElement(using: &random)!, at: index)
                default: bytes.insert(contentsOf: bytes[index...].prefix(24), at: index)
                }
            }
            guard let object = try? JSONText.object(ByteBuffer(bytes: bytes)) else { continue }
            accepted += 1
            // Equal means: the same text, no line breaks, no reserved entries.
            try #require(try JSONText.object(object.text) == JSONObject(text: object.text))
            let text = String(buffer: object.text)
            try #require(ByteBuffer(string: text) == object.text, "not UTF-8")
        }
        #expect(accepted > 1000)
    }
}

/// A xorshift generator, with the same numbers on every run.
private struct SystemIndependentGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state ^= self.state << 13
        self.state ^= self.state >> 7
        self.state ^= self.state << 17
        return self.state
    }
}
