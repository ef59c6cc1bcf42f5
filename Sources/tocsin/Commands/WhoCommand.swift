import ArgumentParser
import Broker
import ChannelLayer
import Foundation

struct WhoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "who", abstract: "List the connections of a group, or of a user in all groups.",
        discussion: "A connection is named by its channel, specific.GATEWAY!CONNECTION, as Django would name it.")

    @Argument(help: "The group.")
    var group: String?

    @Option(name: .long, help: ArgumentHelp("Look for this user in all groups.", valueName: "u"))
    var user: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func validate() throws {
        guard (group == nil) != (user == nil) else { throw ValidationError("Name a GROUP, or --user U.") }
    }

    private struct Entry: Decodable {
        var user: String?
        var gateway: String?
        var since: Double?
    }

    func run() async throws {
        let name = try group.map(groupName)
        let all = try await CommandSession.run(options, about: name) { session in
            if let name { return try await session.inspector.who(in: name) }
            return try await session.inspector.whoAnywhere()
        }
        let decoder = JSONDecoder()
        let connections = all.map { ($0, (try? decoder.decode(Entry.self, from: Data($0.json.utf8))) ?? Entry()) }
            .filter { user == nil || $0.1.user == user }
        if output.json {
            return print(
                JSONWriter.lines(connections) { found, json in
                    let (connection, entry) = found
                    json.string("group", connection.group)
                    json.string("channel", connection.channel)
                    json.string("user", entry.user)
                    json.string("gateway", entry.gateway)
                    json.number("since", entry.since ?? 0)
                })
        }
        if connections.isEmpty { note("nobody") }
        for (connection, entry) in connections {
            let since = entry.since.map { Date(timeIntervalSince1970: $0).formatted(.iso8601) } ?? "?"
            print(
                "\(connection.group)  \(connection.channel)  user=\(entry.user ?? "-")  gateway=\(entry.gateway ?? "?")  since=\(since)"
            )
        }
    }
}
