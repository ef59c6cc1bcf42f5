import ArgumentParser
import Broker
import ChannelLayer
import Foundation
import Logging
import NIOCore
import NIOPosix
import RedisClient

struct TailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Print a group's messages as they are sent, until Ctrl-C.")

    @Argument(help: "The group.")
    var group: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let name = try groupName(group)
        // Once connected, Redis may go away and come back; but report a wrong address immediately.
        let configuration = try await CommandSession.run(options, about: name) { $0.configuration }
        let shard = configuration.redis.router[name]
        let settings = try configuration.redisConfiguration(configuration.redis.hosts[shard], clientName: "tocsin-tail")
        let keys = configuration.keys(shard: shard)
        let encryption = FernetKeys(try configuration.redis.encryption.keys())
        let isJSON = output.json
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let logger = Logger(label: "tocsin") { _ in LineLogHandler(settings: configuration.log) }
        let tail = try await loop.submit {
            NIOLoopBound(
                GroupTail(
                    settings, keys: keys, group: name, encryption: encryption, on: loop, logger: logger,
                    onLive: { note("listening to \(name) at \(settings.host); Ctrl-C ends") },
                    onMalformed: { note("a message that is neither a JSON object nor a msgpack map: \($0)") },
                    onMessage: { message in
                        show(
                            isJSON
                                ? JSONWriter.message(message.json, at: message.position?.description)
                                : String(buffer: message.json))
                    }),
                eventLoop: loop)
        }.get()
        await Signals.waitForEnd()
        withExtendedLifetime(tail) {}
    }
}
