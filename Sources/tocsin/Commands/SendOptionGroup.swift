import ArgumentParser
import Broker
import Operations

/// The options of `tocsin send` that are those of `group_send`.
struct SendOptionGroup: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Do not deliver it later than this many seconds from now.", valueName: "s"))
    var ttl: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Idempotency key: sending again with the same key sends nothing.", valueName: "k"))
    var key: String?

    @Option(name: .long, help: ArgumentHelp("Send it at this time, in seconds since 1970.", valueName: "time"))
    var at: String?

    @Option(
        name: .customLong("in"),
        help: ArgumentHelp("Send it later: seconds, or a duration like 90s, 5m, 2h, 1d.", valueName: "time"))
    var after: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Replaces the group's last message with the same key, for who has not seen it.", valueName: "k"))
    var collapse: String?

    @Option(name: .long, help: ArgumentHelp("Of push messages: very-low, low, normal or high.", valueName: "u"))
    var urgency: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Escalate it for users who have not seen it after this many seconds; 0: never.", valueName: "s"))
    var escalate: String?

    @Option(
        name: .long, help: ArgumentHelp("With --escalate, what counts as seen: delivered or read.", valueName: "seen"))
    var unless: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Messages that the group keeps, 0 to 1000000, in place of its policy's.", valueName: "n"))
    var size: String?

    private var terms: SendTerms {
        var terms = SendTerms()
        (terms.ttl, terms.key, terms.size) = (ttl, key, size)
        (terms.collapse, terms.urgency) = (collapse, urgency)
        (terms.escalate, terms.unless) = (escalate, unless)
        (terms.at, terms.after) = (at, after)
        return terms
    }

    /// The name of an option that is given; nil: none is.
    var firstGiven: String? {
        [
            ("ttl", ttl), ("key", key), ("at", at), ("in", after), ("collapse", collapse), ("urgency", urgency),
            ("escalate", escalate), ("unless", unless), ("size", size),
        ].first { $0.1 != nil }?.0
    }

    /// - Throws: `CommandFailure` that names the option.
    func options() throws -> SendOptions {
        do {
            return try terms.options()
        } catch {
            throw CommandFailure("--\(error.term) \(error.problem): \(error.remedy)")
        }
    }
}
