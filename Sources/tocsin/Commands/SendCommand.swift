import ArgumentParser
import Broker
import ChannelLayer
import Logging
import NIOCore

struct SendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send",
        abstract: "Send a JSON object to a group, or to one channel.",
        discussion: """
            Prints the message's position, the number of gateways that were listening, and how many consumers that Daphne \
            holds were told. The same without tocsin:
              redis-cli -n 3 FCALL group_send 1 asgi:group:GROUP JSON [TTL s] [KEY k] …

            With --at or --in it is sent later, whichever gateways live then, and the line is the id by which \
            tocsin scheduled --cancel ID takes it back:
              tocsin send 42.inbox '{"text":"Your parcel comes today"}' --in 2h --collapse parcel
              tocsin send 42.inbox '{"text":"Confirm"}' --at $(date -d 'tomorrow 9:00' +%s) --escalate 300 --unless read

            A name with "!", as tocsin who shows them, is one connection's or one consumer's; with --channel it is a worker's \
            channel (manage.py runworker NAME):
              redis-cli -n 3 FCALL channel_send 1 asgi:channel:NAME JSON
            """)

    @Argument(help: "The group: ASCII letters, digits, \"-\", \"_\", \".\"; fewer than 100. With \"!\": a channel.")
    var group: String

    @Flag(name: .long, help: "GROUP is the name of a channel of the layer.")
    var channel = false

    @Argument(help: ArgumentHelp("A JSON object. Django consumers want a \"type\" in it.", valueName: "json"))
    var message: String

    @OptionGroup(title: "Terms of a message to a group") var terms: SendOptionGroup
    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        if channel || group.contains("!") { return try await sendToChannel() }
        let name = try groupName(group)
        let sendOptions = try terms.options()
        let answer = try await CommandSession.run(options, about: name) { session in
            try await session.ask { administration throws(BackplaneError) in
                try await administration.send(ByteBuffer(string: message), to: name, sendOptions)
            }
        }
        if output.json {
            return print(JSONWriter.line(answer.write))
        }
        let receipt: Receipt
        switch answer {
        case .sent(let sent): receipt = sent
        case .scheduled(let id): return print("\(id)  scheduled")
        }
        var line = "\(receipt.position)  \(receipt.gateways) gateway\(receipt.gateways == 1 ? "" : "s")"
        if let consumers = receipt.consumers {
            line += "  \(consumers.told) of \(consumers.told + consumers.skipped) Django consumers"
        }
        print(line)
    }

    private func sendToChannel() async throws {
        let name: ChannelName
        do { name = try ChannelName(group) } catch { throw CommandFailure("\"\(group)\": \(error)") }
        if let given = terms.firstGiven { throw CommandFailure("--\(given) is for groups") }
        let isThere = try await CommandSession.run(options) { session in
            try await session.inspector
                .channelSend(ByteBuffer(string: message), to: name, logger: Logger(label: "tocsin"))
        }
        if output.json {
            return print(
                JSONWriter.line { json in
                    json.string("channel", name.text)
                    json.bool("sent", isThere)
                })
        }
        print(isThere ? "sent to \(name)" : "nobody reads \(name) any more")
    }
}

/// - Throws: `CommandFailure`, which explains what a valid group name is.
func groupName(_ text: String) throws -> GroupName {
    do { return try GroupName(text) } catch { throw CommandFailure("\"\(text)\": \(error)") }
}
