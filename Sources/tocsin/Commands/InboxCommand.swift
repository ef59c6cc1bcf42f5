import ArgumentParser
import Broker
import NIOCore
import Operations

struct InboxCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inbox",
        abstract: "Show a user's messages and what of them is read, or mark them.",
        discussion: """
            For groups whose policy has inbox: true. Without --group it lists the user's inboxes; with it, the messages that \
            are still in the group's log, newest first:
              tocsin inbox --user 42
              tocsin inbox --user 42 --group 42.inbox --limit 10
              tocsin inbox --user 42 --group 42.inbox --read 5f3a.9c01ab23de:17
            A mark is seen at once by every page that the user has open.
            """)

    @Option(name: .long, help: ArgumentHelp("Whose inbox.", valueName: "u"))
    var user: String

    @Option(name: .long, help: ArgumentHelp("The messages of this group.", valueName: "group"))
    var group: String?

    @Option(name: .long, help: ArgumentHelp("Messages, 0 to 1000.", valueName: "n"))
    var limit = 50

    @Option(name: .long, help: ArgumentHelp("Only what came before this position.", valueName: "position"))
    var before: String?

    @Option(name: .long, help: ArgumentHelp("Mark everything up to this position as read.", valueName: "position"))
    var read: String?

    @Flag(name: .long, help: "Mark everything as read; without --group in every inbox of the user.")
    var readAll = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func validate() throws {
        if user.isEmpty { throw ValidationError("--user names nobody.") }
        if !(0...1_000).contains(limit) { throw ValidationError("--limit wants 0 to 1000, not \(limit).") }
        if read != nil, readAll { throw ValidationError("Give --read or --read-all, not both.") }
        if group == nil, read != nil || before != nil {
            throw ValidationError("A position is a group's: give --group too.")
        }
    }

    func run() async throws {
        guard let group = try group.map(groupName) else { return try await runForAll() }
        let before = try before.map { try position($0, "--before") }
        let mark: ReadMark? = try readAll ? .all : read.map { .upTo(try position($0, "--read")) }
        if let mark {
            let state = try await ask(about: group) { administration throws(BackplaneError) in
                try await administration.mark(mark, in: group, user: user)
            }
            return show([InboxSummary(group: group, state: state)])
        }
        let page = try await ask(about: group) { administration throws(BackplaneError) in
            try await administration.inbox(of: group, user: user, before: before, limit: limit)
        }
        if output.json { return tocsin.show(JSONWriter.line(page.write)) }
        note("\(page.state.unread) unread; read up to \(page.state.read)")
        guard !page.entries.isEmpty else { return }
        var table = TextTable("POSITION", "READ", "MESSAGE")
        for entry in page.entries {
            table.add(entry.position.description, entry.isRead ? "yes" : "no", String(buffer: entry.json))
        }
        table.show()
    }

    /// Asks about one group. A refusal also names a group of the user that is spelled alike.
    private func ask<R>(
        about group: GroupName, _ question: (LayerAdministration) async throws(BackplaneError) -> R
    ) async throws -> R {
        try await CommandSession.run(options, about: group) { session in
            do {
                return try await session.ask(question)
            } catch let failure as CommandFailure {
                let groups = (try? await session.ask { a throws(BackplaneError) in try await a.groups(of: user) }) ?? []
                let known = groups.map { (name: $0.text, distance: ConfigurationReader.distance($0.text, group.text)) }
                guard let near = known.min(by: { $0.distance < $1.distance }), (1...3).contains(near.distance) else {
                    throw failure
                }
                throw CommandFailure("\(failure); did you mean \"\(near.name)\"?")
            }
        }
    }

    private func runForAll() async throws {
        let inboxes = try await CommandSession.run(options) { session in
            try await session.ask { administration throws(BackplaneError) in
                var inboxes = try await administration.inboxes(of: user, most: 1_000)
                guard readAll else { return inboxes }
                for (index, inbox) in inboxes.enumerated() {
                    let state = try await administration.mark(.all, in: inbox.group, user: user)
                    inboxes[index] = InboxSummary(group: inbox.group, state: state)
                }
                return inboxes
            }
        }
        show(inboxes)
    }

    private func show(_ inboxes: [InboxSummary]) {
        if output.json { return tocsin.show(JSONWriter.lines(inboxes) { $0.write(to: &$1) }) }
        if inboxes.isEmpty {
            note("no inbox of \(user) is known: a group that has not been used yet is asked for with --group")
            return
        }
        var table = TextTable("GROUP", "UNREAD", "READ UP TO")
        for inbox in inboxes {
            table.add(inbox.group.text, String(inbox.state.unread), inbox.state.read.description)
        }
        table.show()
    }
}
