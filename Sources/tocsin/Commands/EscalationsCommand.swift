import ArgumentParser
import Broker
import Operations

struct EscalationsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "escalations",
        abstract: "Show what waits for webhooks and push services, and what they would not take; send that again.",
        discussion: """
            Targets are those of escalations: in the configuration. A delivery that a target refuses for good, or does not take \
            in time, is a dead letter: it is kept for 30 days, the newest 10,000 of them.
              tocsin escalations
              tocsin escalations --retry esc_9f0a4b12c3d4e5f6a7b8c9d0/site
            """)

    @Option(name: .long, help: ArgumentHelp("Dead letters, 1 to 1000.", valueName: "n"))
    var limit = 100

    @Option(name: .long, help: ArgumentHelp("Send the dead letter with this id again.", valueName: "id"))
    var retry: String?

    @Flag(name: .long, help: "Send all dead letters again, at most 1000 in one go.")
    var retryAll = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func validate() throws {
        if !(1...1_000).contains(limit) { throw ValidationError("--limit wants 1 to 1000, not \(limit).") }
        if retry != nil, retryAll { throw ValidationError("Give --retry or --retry-all, not both.") }
        if let retry, !retry.hasPrefix(EscalationOverview.idPrefix) {
            throw ValidationError("--retry wants an id that tocsin escalations lists, like esc_…/site.")
        }
    }

    func run() async throws {
        if retry != nil || retryAll { return try await runRetry() }
        let overview = try await CommandSession.run(options) { session in
            try await session.ask { administration throws(BackplaneError) in
                try await administration.escalations(limit: limit)
            }
        }
        if output.json { return show(JSONWriter.line(overview.write)) }
        guard !overview.targets.isEmpty || !overview.dead.isEmpty else {
            return note("there are no targets: escalations: in the configuration names them")
        }
        var targets = TextTable("TARGET", "WAITING", "IN FLIGHT")
        for target in overview.targets { targets.add(target.name, String(target.waiting), String(target.inFlight)) }
        targets.show()
        guard !overview.dead.isEmpty else { return note("no dead letters") }
        var dead = TextTable("DEAD LETTER", "DIED", "TRIES", "GROUP", "USER", "POSITION", "REASON")
        for letter in overview.dead {
            dead.add(
                letter.id, readable(Double(letter.diedAt)), String(letter.attempts), letter.group, letter.user,
                letter.position, letter.reason)
        }
        show("")
        dead.show()
    }

    private func runRetry() async throws {
        let count = try await CommandSession.run(options) { session in
            try await session.ask { administration throws(BackplaneError) in
                try await administration.retryEscalation(retry)
            }
        }
        if let retry, count == 0 {
            throw CommandFailure("there is no dead letter \(retry): it was sent again, or is too old")
        }
        show(output.json ? JSONWriter.line { $0.number("retried", count) } : "\(count) sent again")
    }
}
