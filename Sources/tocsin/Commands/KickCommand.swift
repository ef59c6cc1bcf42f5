import ArgumentParser
import Broker
import ChannelLayer
import Operations

struct KickCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kick",
        abstract: "End the connections of a user, or one connection, on whatever gateway they are.",
        discussion: """
            They are closed with 4401 (centrifuge: 3503; server-sent events: told to stay away): the client must log in \
            again. End the login itself first, or they come back.

            A connection is named as `tocsin who` names it: specific.GATEWAY!CONNECTION, or its last 16 digits.
            """)

    @Option(name: .long, help: ArgumentHelp("All connections of this user.", valueName: "u"))
    var user: String?

    @Option(name: .long, help: ArgumentHelp("This connection.", valueName: "connection"))
    var connection: String?

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func validate() throws {
        guard (user == nil) != (connection == nil), user != "" else {
            throw ValidationError("Name --user U, or --connection C.")
        }
    }

    func run() async throws {
        let selection = try selection()
        let heard = try await CommandSession.run(options) { session in
            let inspector = session.inspector
            return BroadcastReceipt(
                gateways: try await inspector.end(selection), living: try await inspector.gateways().count)
        }
        if output.json { return print(JSONWriter.line(heard.write)) }
        print("\(heard.gateways) of \(heard.living) living gateways heard it")
        if heard.gateways < heard.living { note("those that did not have no connection to Redis now: try again") }
    }

    private func selection() throws -> ConnectionSelection {
        if let user { return .user(user) }
        let digits = connection!.split(separator: "!").last ?? ""
        guard let id = ConnectionID(String(digits)) else {
            throw CommandFailure("--connection wants specific.GATEWAY!CONNECTION, or the 16 hex digits at its end")
        }
        return .connection(id)
    }
}
