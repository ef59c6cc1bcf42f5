import ArgumentParser
import Broker
import ChannelLayer
import NIOCore

struct HistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Print what a group's log still holds.",
        discussion: "With --since it says first whether anything between is missing, as a client would be told.")

    @Argument(help: "The group.")
    var group: String

    @Option(
        name: .long,
        help: ArgumentHelp("Only what came after this position, as group_send answered it.", valueName: "position"))
    var since: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func validate() throws {
        if let since, Position(since) == nil {
            throw ValidationError("--since wants a position like 5f3a.9c01ab23de:17, not \"\(since)\"")
        }
    }

    func run() async throws {
        let name = try groupName(group)
        let start = since.flatMap { Position($0) }
        let history = try await CommandSession.run(options, about: name) { session in
            try await session.inspector
                .history(of: name, since: start)
        }
        if let continuity = history.continuity, !continuity.isRecovered { note("continuity: \(continuity)") }
        for publication in history.publications {
            let position = publication.position?.description
            show(
                output.json
                    ? JSONWriter.message(publication.json, at: position)
                    : "\(position ?? "?")  \(String(buffer: publication.json))")
        }
    }
}
