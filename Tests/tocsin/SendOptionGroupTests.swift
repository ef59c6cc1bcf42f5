import ArgumentParser
import Broker
import Testing

@testable import tocsin

struct SendOptionGroupTests {
    @Test func `Each option is the term of its name`() throws {
        let group = try SendOptionGroup.parse([
            "--ttl", "60", "--key", "k", "--size", "5", "--collapse", "c", "--urgency", "high", "--escalate", "300",
            "--unless", "delivered", "--in", "5m",
        ])
        var options = SendOptions(ttl: 60, key: "k")
        options.size = 5
        options.collapse = "c"
        options.urgency = .high
        options.escalation = .init(after: 300, unless: .delivered)
        options.time = .after(300)
        #expect(try group.options() == options)
        #expect(group.firstGiven == "ttl")
        #expect(try SendOptionGroup.parse(["--at", "1795351382.5"]).options().time == .at(1_795_351_382.5))
        #expect(try SendOptionGroup.parse([]).options() == SendOptions())
        #expect(try SendOptionGroup.parse([]).firstGiven == nil)
    }

    @Test(arguments: [
        (["--in", "5w"], "--in is not a duration of at most ten years: give seconds"),
        (["--ttl", "0"], "--ttl must be a number of seconds: use 1 to 315360000"),
        (["--urgency", "asap"], "--urgency is unknown: use very-low, low, normal or high"),
        (["--unless", "read"], "--unless is only for a message that is escalated: give escalate too"),
        (["--key", ""], "--key has 0 bytes: use 1 to 200 bytes"),
    ])
    func `A value that means nothing is refused with the option's name and what it may be`(
        arguments: [String], text: String
    ) throws {
        let group = try SendOptionGroup.parse(arguments)
        let failure = #expect(throws: CommandFailure.self) { try group.options() }
        #expect(failure?.description.hasPrefix(text) == true)
    }
}
