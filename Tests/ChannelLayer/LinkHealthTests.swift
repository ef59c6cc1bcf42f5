import Broker
import NIOCore
import Testing

@testable import ChannelLayer
@testable import RedisClient

/// The states of the links to Redis, each with every event.
struct LinkHealthTests {
    private typealias Health = LinkHealth

    private static let readonly = RedisError(.server, "READONLY You can't write against a read only replica.")
    private static let full = RedisError(.server, "OOM command not allowed when used memory > 'maxmemory'.")
    private static let noRight = RedisError(.server, "NOPERM the user app lacks rights: ACL SETUSER app +info")
    private static let gone = RedisError(.unavailable, "Redis closed the connection")

    /// How each state is reached; the subscription is live, so that the reasons are those of the commands.
    private static let states: [(commands: Health.Commands, events: [Health.Event])] = [
        (.away, [.live]),
        (.preparing, [.live, .up]),
        (.unusable, [.live, .up, .notPrepared(noRight)]),
        (.serving, [.live, .up, .prepared]),
        (.refused, [.live, .up, .prepared, .refused(full)]),
        (.stopped, [.live, .up, .prepared, .stop]),
    ]

    private func health(_ commands: Health.Commands) -> LinkHealth {
        var health = LinkHealth()
        for event in Self.states.first(where: { $0.commands == commands })!.events { _ = health.handle(event) }
        #expect(health.commands == commands)
        return health
    }

    private func expect(
        _ event: Health.Event, _ table: [(Health.Commands, Health.Commands, [Health.Action])],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(table.map(\.0) == Self.states.map(\.commands), "every state", sourceLocation: sourceLocation)
        for (before, after, actions) in table {
            var health = health(before)
            #expect(health.handle(event) == actions, "\(before)", sourceLocation: sourceLocation)
            #expect(health.commands == after, "\(before)", sourceLocation: sourceLocation)
        }
    }

    // MARK: Every state, every event

    @Test func `A command link that comes up is prepared first`() {
        expect(
            .up,
            [
                (.away, .preparing, [.prepare(isFirst: true)]), (.preparing, .preparing, []),
                (.unusable, .preparing, [.prepare(isFirst: true)]), (.serving, .preparing, [.prepare(isFirst: false)]),
                (.refused, .preparing, [.prepare(isFirst: false)]), (.stopped, .stopped, []),
            ])
    }

    @Test func `A command link that is lost pauses everything`() {
        expect(
            .down(Self.gone),
            [
                (.away, .away, []), (.preparing, .away, [.pause]), (.unusable, .away, [.pause]),
                (.serving, .away, [.pause]), (.refused, .away, [.pause]), (.stopped, .stopped, []),
            ])
    }

    @Test func `A dial that failed is only a reason`() {
        expect(.missed(Self.gone), Self.states.map { ($0.commands, $0.commands, []) })
    }

    @Test func `What is prepared serves`() {
        expect(
            .prepared,
            [
                (.away, .away, []), (.preparing, .serving, [.serve, .relieved]), (.unusable, .unusable, []),
                (.serving, .serving, []), (.refused, .refused, []), (.stopped, .stopped, []),
            ])
    }

    @Test func `What cannot be prepared is said, and tried again`() {
        let again = [Health.Action.complain(Self.noRight), .retry(1, after: .milliseconds(500))]
        expect(
            .notPrepared(Self.noRight),
            [
                (.away, .away, []), (.preparing, .unusable, again), (.unusable, .unusable, []),
                (.serving, .serving, []), (.refused, .refused, []), (.stopped, .stopped, []),
            ])
    }

    @Test func `That a new connection leads to a replica is said by the connection, which ends`() {
        var health = health(.preparing)
        #expect(health.handle(.notPrepared(Self.readonly)) == [.retry(1, after: .milliseconds(500))])
        #expect(health.handle(.down(Self.readonly)) == [.pause])
        #expect(health.handle(.retryIsDue(1)) == [])
    }

    @Test func `Functions that are gone are loaded again, and nobody joins meanwhile`() {
        let actions = [Health.Action.hold("Redis has lost the function library"), .prepare(isFirst: false)]
        expect(
            .functionsMissing,
            [
                (.away, .away, []), (.preparing, .preparing, []), (.unusable, .unusable, []),
                (.serving, .preparing, actions), (.refused, .preparing, actions), (.stopped, .stopped, []),
            ])
    }

    @Test func `A write that is refused holds everything but the lease`() {
        let words = "Redis refuses writes: \(Self.readonly.message)"
        expect(
            .refused(Self.readonly),
            [
                (.away, .away, []), (.preparing, .preparing, []), (.unusable, .unusable, []),
                (
                    .serving, .refused,
                    [.hold(words), .complain(Self.readonly), .retry(1, after: .seconds(1))]
                ), (.refused, .refused, [.complain(Self.readonly)]), (.stopped, .stopped, []),
            ])
    }

    @Test func `A write that is taken lets everything go on`() {
        expect(
            .written,
            Self.states.map {
                $0.commands == .refused ? (.refused, .serving, [.proceed, .relieved]) : ($0.commands, $0.commands, [])
            })
    }

    @Test func `A retry tries what failed`() {
        expect(
            .retryIsDue(1),
            [
                (.away, .away, []), (.preparing, .preparing, []),
                (.unusable, .preparing, [.prepare(isFirst: true)]), (.serving, .serving, []),
                (.refused, .refused, [.renew, .retry(2, after: .seconds(1))]), (.stopped, .stopped, []),
            ])
    }

    @Test func `An old retry counts no more`() {
        expect(.retryIsDue(0), Self.states.map { ($0.commands, $0.commands, []) })
    }

    @Test func `The subscription link changes nothing for commands`() {
        for event in [Health.Event.live, .lost(Self.gone)] {
            expect(event, Self.states.map { ($0.commands, $0.commands, []) })
        }
    }

    @Test func `After the end nothing is done`() {
        expect(.stop, Self.states.map { ($0.commands, .stopped, []) })
    }

    // MARK: Readiness

    @Test func `It is ready while it serves and hears, and says why it is not`() {
        #expect(LinkHealth().reasons == ["Redis is not reachable"])
        let reasons: [(Health.Commands, [String])] = [
            (.away, ["Redis is not reachable"]), (.preparing, ["Redis is being prepared"]),
            (.unusable, ["Redis refuses what a gateway needs: \(Self.noRight.message)"]), (.serving, []),
            (.refused, ["Redis refuses writes: \(Self.full.message)"]),
        ]
        for (state, words) in reasons { #expect(health(state).reasons == words) }
    }

    @Test func `A subscription that Redis refuses is a reason of its own`() {
        var health = health(.serving)
        _ = health.handle(.lost(Self.gone))
        #expect(health.reasons == ["Redis is not reachable"])
        _ = health.handle(.lost(RedisError(.server, "NOPERM no channels (SUBSCRIBE asgi__control)")))
        #expect(health.reasons == ["Redis refuses subscriptions: NOPERM no channels (SUBSCRIBE asgi__control)"])
        _ = health.handle(.refused(Self.full))
        #expect(health.reasons.count == 2)
        _ = health.handle(.live)
        _ = health.handle(.written)
        #expect(health.reasons.isEmpty)
    }

    @Test func `A trouble is told until it is over, also while it is looked at again`() {
        var health = health(.unusable)
        let words = health.reasons
        _ = health.handle(.retryIsDue(1))
        #expect(health.reasons == words)
        _ = health.handle(.prepared)
        #expect(health.reasons.isEmpty)
    }

    @Test func `Reads are possible while writes are refused`() {
        for (state, _) in Self.states { #expect(health(state).canRead == (state == .serving || state == .refused)) }
    }

    // MARK: Sequences

    @Test func `A preparation of an earlier connection does not count for a later one, and no two overlap`() {
        for ending in [Health.Event.prepared, .notPrepared(Self.gone)] {
            var health = health(.preparing)
            #expect(health.handle(.down(Self.gone)) == [.pause])
            #expect(health.handle(.up) == [])
            #expect(health.handle(ending) == [.prepare(isFirst: true)])
            #expect(health.handle(.prepared) == [.serve, .relieved])
        }
    }

    @Test func `After a replica's answer subscriptions move with the commands, once`() {
        var health = health(.serving)
        _ = health.handle(.down(Self.readonly))
        #expect(health.reasons == ["Redis refuses writes: \(Self.readonly.message)"])
        _ = health.handle(.missed(Self.gone))
        _ = health.handle(.up)
        #expect(health.handle(.prepared) == [.serve, .relieved, .resubscribe])
        _ = health.handle(.down(Self.gone))
        _ = health.handle(.up)
        #expect(health.handle(.prepared) == [.serve, .relieved])
    }

    @Test func `Who was prepared once keeps its lease alive while memory is full`() {
        var health = health(.serving)
        _ = health.handle(.down(Self.gone))
        _ = health.handle(.up)
        #expect(
            health.handle(.notPrepared(Self.full)) == [
                .complain(Self.full), .renew, .retry(1, after: .milliseconds(500)),
            ])
        #expect(health.handle(.written) == [], "the rest is still to be prepared")
    }

    @Test func `Troubles that come and go have one retry at a time`() {
        var health = health(.serving)
        for number in 1...3 {
            _ = health.handle(.refused(Self.full))
            #expect(health.handle(.retryIsDue(number - 1)) == [], "of the trouble before")
            _ = health.handle(.written)
        }
        _ = health.handle(.refused(Self.full))
        #expect(health.handle(.retryIsDue(4)) == [.renew, .retry(5, after: .seconds(1))])
    }

    @Test(
        arguments: [
            ("ERR The user executing the script can't run this command or subcommand script: info", true),
            ("ERR ACL failure in script: User app has no permissions to run the 'info' command", true),
            ("NOPERM this user has no permissions to run the 'fcall' command", true),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", false),
            ("ERR tocsin: the message is not valid JSON", false),
        ])
    func `A right that is missing can be given: who asked may come back`(text: String, mayComeBack: Bool) {
        let error = RedisError(.server, text)
        #expect(RedisErrorMeaning.isTransient(error) == mayComeBack)
        #expect((RedisErrorMeaning.told(error).code == .unavailable) == mayComeBack)
        #expect(!RedisErrorMeaning.refusesAll(error))
    }

    @Test(arguments: ["READONLY", "MASTERDOWN", "MISCONF", "OOM", "NOREPLICAS", "LOADING", "BUSY"])
    func `What Redis refuses to everybody may be asked again`(kind: String) {
        let error = RedisError(.server, "\(kind) some words")
        #expect(RedisErrorMeaning.refusesAll(error) && RedisErrorMeaning.isTransient(error))
    }
}
