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
        #expect(
            LeaseAnswer(["c", "", "a", "b"], renewed: 1) == .renewed(canary: "c", wasHeld: true, living: ["a", "b"]))
        #expect(LeaseAnswer(["c", ""], renewed: 0) == .renewed(canary: "c", wasHeld: false, living: []))
        #expect(LeaseAnswer([], renewed: 0) == nil)
        guard case .taken(let other) = LeaseAnswer(["", "", "pid", "7", "host", "h", "odd"], renewed: -1) else {
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
