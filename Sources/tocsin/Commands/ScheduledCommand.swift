import ArgumentParser
import Broker
import NIOCore
import Operations

struct ScheduledCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scheduled",
        abstract: "List the messages that are sent later, soonest first, or cancel one.",
        discussion: """
            Messages that were sent with --at or --in (HTTP: ?at=, ?in=; redis-cli: AT, IN). They wait in Redis, not in a \
            gateway.
              tocsin scheduled --group 42.inbox
              tocsin scheduled --cancel 5a0c1fd2b76e8890@42.inbox
            """)

    @Option(name: .long, help: ArgumentHelp("Only of this group.", valueName: "group"))
    var group: String?

    @Option(name: .long, help: ArgumentHelp("Messages, 1 to 1000.", valueName: "n"))
    var limit = 100

    @Option(name: .long, help: ArgumentHelp("Do not send the message with this id.", valueName: "id"))
    var cancel: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func validate() throws {
        if !(1...1_000).contains(limit) { throw ValidationError("--limit wants 1 to 1000, not \(limit).") }
        if cancel != nil, group != nil { throw ValidationError("An id names its group: give --cancel alone.") }
    }

    func run() async throws {
        if let cancel { return try await run(cancelling: cancel) }
        let name = try group.map(groupName)
        let messages = try await CommandSession.run(options, about: name) { session in
            try await session.ask { administration throws(BackplaneError) in
                try await administration.scheduled(in: name, limit: limit)
            }
        }
        if output.json { return show(JSONWriter.lines(messages) { $0.write(to: &$1) }) }
        guard !messages.isEmpty else { return note("nothing is scheduled") }
        var table = TextTable("TIME", "ID", "MESSAGE")
        for message in messages {
            table.add(readable(Double(message.at)), message.id, String(buffer: message.message))
        }
        table.show()
    }

    private func run(cancelling text: String) async throws {
        guard let id = ScheduledID(text) else {
            throw CommandFailure(
                "--cancel wants an id like 5a0c1fd2b76e8890@GROUP, as tocsin scheduled lists it, not \"\(text)\"")
        }
        let isCancelled = try await CommandSession.run(options, about: id.group) { session in
            try await session.ask { administration throws(BackplaneError) in try await administration.cancel(id) }
        }
        guard isCancelled else {
            throw CommandFailure(
                "nothing is scheduled as \(id): it was sent, or cancelled before; tocsin scheduled lists what is")
        }
        show(output.json ? JSONWriter.line { $0.string("cancelled", id.description) } : "cancelled \(id)")
    }
}
