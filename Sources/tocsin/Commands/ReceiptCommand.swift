import ArgumentParser
import Broker
import NIOCore

struct ReceiptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receipt",
        abstract: "Show who has a message, since when, and who has read it.",
        discussion: """
            For groups whose policy has receipts: true or inbox: true. Where the policy names a user ("{user}.inbox"), the \
            line is about that user, connected or not; elsewhere there is one for everybody who is connected or has been.
              tocsin receipt 42.inbox 5f3a.9c01ab23de:17
            Delivered: a browser or program of the user has the message, which does not say that a page showed it. Read: the \
            page, or the site, has marked it.
            """)

    @Argument(help: "The group.")
    var group: String

    @Argument(help: "The message's position, as the send answered it and tocsin history shows it.")
    var position: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        let name = try groupName(group), place = try tocsin.position(position, "POSITION")
        let answer = try await CommandSession.run(options, about: name) { session in
            try await session.ask { administration throws(BackplaneError) in
                try await administration.receipts(of: name, at: place)
            }
        }
        if output.json { return show(String(buffer: answer)) }
        let users = (try? JSONFields(answer))?.elements("users") ?? []
        if users.isEmpty { note("nobody is meant: no user is connected in the group, or has been") }
        var table = TextTable("USER", "DELIVERED", "READ")
        for user in users {
            guard let fields = try? JSONFields(user) else { continue }
            let since = readable(fields.number("delivered_at").flatMap { Double($0) })
            table.add(
                fields.string("user") ?? "?", fields.flag("delivered") ? since : "no",
                fields.flag("read") ? "yes" : "no")
        }
        if !users.isEmpty { table.show() }
    }
}
