import ArgumentParser
import Broker
import ChannelLayer
import Logging
import NIOCore

struct SendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send",
        abstract: "Send a JSON object to a group.",
        discussion: """
            Prints the message's position and the number of gateways that were listening. The same without tocsin:
              redis-cli -n 3 FCALL group_send 1 asgi:group:GROUP JSON [TTL s] [KEY k]
            """)

    @Argument(help: "The group: ASCII letters, digits, \"-\", \"_\", \".\"; fewer than 100.")
    var group: String

    @Argument(help: ArgumentHelp("A JSON object. Django consumers want a \"type\" in it.", valueName: "json"))
    var message: String

    @Option(name: .long, help: ArgumentHelp("Do not deliver it later than this many seconds from now.", valueName: "s"))
    var ttl: Int?

    @Option(
        name: .long,
        help: ArgumentHelp("Idempotency key: sending again with the same key sends nothing.", valueName: "k"))
    var key: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let name = try groupName(group)
        if let ttl, ttl < 1 { throw CommandFailure("--ttl wants 1 second or more") }
        let receipt = try await CommandSession.run(options) { session in
            try await LayerInspector(client: session.client, keys: session.configuration.keys)
                .send(
                    ByteBuffer(string: message), to: name, ttl: ttl, key: key,
                    waitReplicas: session.configuration.redis.waitReplicas, logger: Logger(label: "tocsin"))
        }
        if output.json {
            return print(#"{"position":"\#(receipt.position)","gateways":\#(receipt.gateways)}"#)
        }
        print("\(receipt.position)  \(receipt.gateways) gateway\(receipt.gateways == 1 ? "" : "s")")
    }
}

/// - Throws: `CommandFailure` that says what a group's name is.
func groupName(_ text: String) throws -> GroupName {
    do { return try GroupName(text) } catch { throw CommandFailure("\"\(text)\": \(error)") }
}
