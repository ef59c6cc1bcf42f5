import NIOCore
import Testing

@testable import tocsin

/// The counting of `tocsin bench`.
struct BenchTests {
    @Test func `A message carries its number and its time in exactly the bytes that were asked for`() throws {
        let message = try BenchMessage(run: 0xAB, size: 128)
        for (number, due) in [(0, 0), (7, 123_456), (UInt64.max, Int64.max)] as [(UInt64, Int64)] {
            let bytes = message.encoded(number: number, due: .uptimeNanoseconds(UInt64(due)))
            #expect(bytes.readableBytes == 128)
            let decoded = try #require(message.decoded(bytes.readableBytesView))
            #expect(decoded.number == number)
            #expect(decoded.due == UInt64(due))
        }
    }

    @Test func `A message of another run, or of nobody's, is not ours`() throws {
        let ours = try BenchMessage(run: 1, size: 128)
        let theirs = try BenchMessage(run: 2, size: 128).encoded(number: 1, due: .now())
        #expect(ours.decoded(theirs.readableBytesView) == nil)
        for text in [
            "", "{}", #"{"type":"bench","bench":"0000000000000001:"#, #"{"type":"bench","bench":"0000000000000001:5"#,
        ] {
            #expect(ours.decoded(ByteBuffer(string: text).readableBytesView) == nil)
        }
    }

    @Test func `Too few bytes are refused with how many it takes`() throws {
        let error = #expect(throws: CommandFailure.self) { try BenchMessage(run: 1, size: 10) }
        #expect(try #require(error).description.contains("at least 9"))
    }

    @Test func `What comes twice is found, in order and out of order`() {
        var window = SequenceWindow()
        let numbers: [UInt64] = [1, 2, 5, 4, 3, 1, 2, 3, 4, 5, 100, 100, 37, 37]
        let isNew = numbers.map { window.insert($0) }
        #expect(isNew == [true, true, true, true, true, false, false, false, false, false, true, false, true, false])
    }

    @Test func `A quantile is right to a bucket's width, for every size of number`() {
        for scale in [1, 1_000, 1_000_000, 1_000_000_000] as [UInt64] {
            var histogram = LatencyHistogram()
            for value in 1...1000 as ClosedRange<UInt64> { histogram.record(value * scale) }
            for (share, expected) in [(0.5, 500), (0.99, 990), (1, 1000)] as [(Double, Double)] {
                let ratio = Double(histogram.quantile(share)) / (expected * Double(scale))
                #expect((1.0...1.04).contains(ratio), "\(share) of \(scale): \(ratio)")
            }
            #expect(histogram.maximum == 1000 * scale)
        }
    }

    @Test func `The ends of the range have a bucket, and nothing is nothing`() {
        var histogram = LatencyHistogram()
        #expect(histogram.quantile(0.99) == 0)
        histogram.record(0)
        histogram.record(.max)
        #expect(histogram.quantile(0.5) == 0)
        #expect(histogram.quantile(1) == .max)
    }

    @Test(arguments: [
        ("ws://127.0.0.1:8001/ws/bench", "127.0.0.1:8001", "/ws/bench", "http://127.0.0.1:8001", "bench"),
        ("wss://site.example/ws/a?x=1", "site.example", "/ws/a?x=1", "https://site.example", "a"),
        ("ws://[::1]:80/ws/b", "[::1]", "/ws/b", "http://[::1]", "b"),
    ])
    func `An address says where to connect and as whom`(
        _ url: String, _ authority: String, _ path: String, _ origin: String, _ group: String
    ) throws {
        let target = try BenchTarget(url)
        #expect(target.authority == authority)
        #expect(target.path == path)
        #expect(target.origin == origin)
        #expect(target.lastSegment == group)
        #expect(target.request.hasPrefix("GET \(path) HTTP/1.1\r\nHost: \(authority)\r\nOrigin: \(origin)\r\n"))
        #expect(target.request.hasSuffix("\r\n\r\n"))
    }

    @Test func `A refusal says what to do about it`() throws {
        let target = try BenchTarget("ws://h:1/p")
        #expect(target.refusal("HTTP/1.1 503 Service Unavailable").description.contains("drains"))
        #expect(target.refusal("HTTP/1.1 404 Not Found").description.contains("no route for /p"))
        #expect(target.refusal("SSH-2.0-x").description.contains("does not speak HTTP"))
    }
}
