import ArgumentParser
import Broker
import Foundation
import Operations

struct EraseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "erase",
        abstract: "End a user's connections, and remove what is kept of the user.",
        discussion: """
            Removed are: the groups that belong to the user by a policy's {user}, with their messages; what the user had and had \
            read in other groups; push subscriptions; escalations, and scheduled messages to the user's groups. Not removed are \
            what others were sent, even if it is about the user, and backups of Redis.

            End the login first, or the user's pages come back and are recorded again. It cannot be undone, so it asks for the \
            user once more; --yes does not ask.
              tocsin erase --user 42
            """)

    @Option(name: .long, help: ArgumentHelp("Who is erased.", valueName: "u"))
    var user: String

    @Flag(name: .long, help: "Do not ask.")
    var yes = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func validate() throws {
        if user.isEmpty { throw ValidationError("--user names nobody.") }
    }

    func run() async throws {
        let erasure = try await CommandSession.run(options) { session in
            if !yes { try confirm(try await session.ask { a throws(BackplaneError) in try await a.groups(of: user) }) }
            return try await session.ask { administration throws(BackplaneError) in try await administration.erase(user)
            }
        }
        if output.json { return show(JSONWriter.line { erasure.write(user, to: &$0) }) }
        let groups = erasure.groups.map(\.text).joined(separator: ", ")
        show("erased \(user)\(groups.isEmpty ? "" : " in \(groups)")")
        let heard = erasure.heard
        show("\(heard.gateways) of \(heard.living) living gateways ended the user's connections")
        if heard.gateways < heard.living { note("those that did not have no connection to Redis now: try again") }
    }

    private func confirm(_ groups: [GroupName]) throws {
        let known = groups.isEmpty ? "no group" : groups.map(\.text).joined(separator: ", ")
        note("\(user) is recorded in \(known). Erasing cannot be undone; to do it, type the user again:")
        guard let answer = readLine() else {
            throw CommandFailure("nothing was erased: there is nobody to ask; --yes does not ask")
        }
        guard answer == user else { throw CommandFailure("nothing was erased: \"\(answer)\" is not \"\(user)\"") }
    }
}
