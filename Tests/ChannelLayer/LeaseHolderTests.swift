import NIOCore
import RedisClient
import Testing

@testable import ChannelLayer

@Suite struct LeaseHolderTests {
    @Test func `Each connection for commands is another link of the same process`() {
        var holder = LeaseHolder(gateway: "gw-1", process: "00ff")
        holder.linkUp()
        #expect(holder.text == "gw-1@00ff:1")
        holder.linkUp()
        #expect(holder.text == "gw-1@00ff:2")
        #expect(holder.fields.map(\.1) == ["00ff", "2"])
    }

    @Test func `Each start is another process`() {
        #expect(LeaseHolder(gateway: "a").process != LeaseHolder(gateway: "a").process)
    }

    @Test func `An answer is a renewal, or names who has the name`() {
        func answer(_ canary: String, _ numbers: [Int64], _ texts: [String]) -> LeaseAnswer? {
            LeaseAnswer(
                .array(
                    [.string(ByteBuffer(string: canary))] + numbers.map { .integer($0) }
                        + texts.map { .string(ByteBuffer(string: $0)) }))
        }
        #expect(
            answer("c", [1, 3], ["a", "b"]) == .renewed(canary: "c", wasHeld: true, policies: 3, living: ["a", "b"]))
        #expect(answer("c", [0, 0], []) == .renewed(canary: "c", wasHeld: false, policies: 0, living: []))
        #expect(answer("c", [1], ["a"]) == nil)
        #expect(answer("c", [], []) == nil)
        #expect(LeaseAnswer(.null) == nil)
        guard case .taken(let other) = answer("", [-1], ["pid", "7", "host", "h", "odd"]) else {
            return #expect(Bool(false), "the name is taken")
        }
        #expect("\(other)" == "process 7 on h")
    }

    @Test func `A holder that says nothing of itself is named all the same`() {
        #expect("\(NameHolder([]))" == "a process on an unknown host")
        #expect(
            "\(NameHolder(["started", "2026-01-01T00:00:00Z", "pid", "1", "host", "h"]))"
                == "process 1 on h, running since 2026-01-01T00:00:00Z")
    }
}
