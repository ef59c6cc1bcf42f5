import Testing

@testable import RedisClient

/// A channel's states, each with every event.
struct SubscriptionSetTests {
    private typealias Set = SubscriptionSet<String>

    private func up() -> SubscriptionSet<String> {
        var set = Set()
        set.linkUp()
        return set
    }

    private func asked() -> SubscriptionSet<String> {
        var set = up()
        #expect(set.subscribe("news", waiter: "first") == .wait)
        return set
    }

    private func subscribed() -> SubscriptionSet<String> {
        var set = asked()
        _ = set.takeRequests()
        #expect(set.confirmed("news") == ["first"])
        return set
    }

    private func leaving() -> SubscriptionSet<String> {
        var set = subscribed()
        #expect(set.unsubscribe("news") == [])
        return set
    }

    // MARK: Without a link

    @Test func `Without a link nothing can be subscribed and nothing is asked`() {
        var set = Set()
        #expect(set.subscribe("news", waiter: "first") == .unavailable)
        #expect(set.unsubscribe("news") == [])
        #expect(set.confirmed("news") == [])
        #expect(set.linkDown() == [])
        #expect(set.takeRequests() == [])
        #expect(set.entries.isEmpty)
    }

    @Test func `A link that comes up with nothing wanted asks nothing`() {
        var set = up()
        #expect(set.takeRequests() == [])
        #expect(set.unconfirmed == 0)
    }

    // MARK: Asked, not confirmed

    @Test func `The first subscribe asks, the second joins the waiting`() {
        var set = asked()
        #expect(set.unconfirmed == 1)
        #expect(set.subscribe("news", waiter: "second") == .wait)
        #expect(set.takeRequests() == [.init(subscribe: true, channels: ["news"])])
        #expect(set.takeRequests() == [])
        #expect(set.confirmed("news") == ["first", "second"])
        #expect(set.unconfirmed == 0)
    }

    @Test func `Unwanted before it is confirmed, it is asked back, and who waits is told`() {
        var set = asked()
        #expect(set.unsubscribe("news") == ["first"])
        #expect(set.unconfirmed == 0)
        #expect(
            set.takeRequests() == [
                .init(subscribe: true, channels: ["news"]), .init(subscribe: false, channels: ["news"]),
            ])
        #expect(set.confirmed("news") == [])
        #expect(set.confirmed("news") == [])
        #expect(set.entries.isEmpty)
    }

    @Test func `A link lost before the confirmation fails who waits and forgets the channel`() {
        var set = asked()
        #expect(set.linkDown() == ["first"])
        set.linkUp()
        #expect(set.takeRequests() == [])
    }

    @Test func `A reply for a channel that nobody asked for changes nothing`() {
        var set = asked()
        #expect(set.confirmed("other") == [])
        #expect(set.unconfirmed == 1)
    }

    // MARK: Subscribed

    @Test func `What is subscribed needs no asking`() {
        var set = subscribed()
        #expect(set.subscribe("news", waiter: "second") == .alreadySubscribed)
        #expect(set.takeRequests() == [])
        #expect(set.confirmed("news") == [])
    }

    @Test func `What is subscribed is asked for again on a new link`() {
        var set = subscribed()
        #expect(set.linkDown() == [])
        #expect(set.subscribe("news", waiter: "second") == .unavailable)
        set.linkUp()
        #expect(set.unconfirmed == 1)
        #expect(set.takeRequests() == [.init(subscribe: true, channels: ["news"])])
        #expect(set.subscribe("news", waiter: "third") == .wait)
        #expect(set.confirmed("news") == ["third"])
        #expect(set.unconfirmed == 0)
    }

    @Test func `What stood before is kept when a link is lost while a newcomer waits for it`() {
        var set = subscribed()
        _ = set.linkDown()
        set.linkUp()
        #expect(set.subscribe("news", waiter: "newcomer") == .wait)
        #expect(set.linkDown() == ["newcomer"])
        set.linkUp()
        #expect(set.takeRequests() == [.init(subscribe: true, channels: ["news"])])
    }

    @Test func `Unwanted without a link it is forgotten at once`() {
        var set = subscribed()
        _ = set.linkDown()
        #expect(set.unsubscribe("news") == [])
        set.linkUp()
        #expect(set.takeRequests() == [])
    }

    // MARK: Leaving

    @Test func `Leaving is asked once, and then the channel is gone`() {
        var set = leaving()
        #expect(set.unsubscribe("news") == [])
        #expect(set.takeRequests() == [.init(subscribe: false, channels: ["news"])])
        #expect(set.confirmed("news") == [])
        #expect(set.entries.isEmpty)
    }

    @Test func `A change of mind waits for its own confirmation, also after leaving twice`() {
        var set = leaving()
        #expect(set.unsubscribe("news") == [])
        #expect(set.subscribe("news", waiter: "again") == .wait)
        #expect(set.confirmed("news") == [], "that was the reply to UNSUBSCRIBE")
        #expect(set.confirmed("news") == ["again"])
    }

    @Test func `A link lost while leaving ends the leaving`() {
        var set = leaving()
        #expect(set.linkDown() == [])
        set.linkUp()
        #expect(set.takeRequests() == [])
        #expect(set.entries.isEmpty)
    }

    // MARK: Permanent

    @Test func `What is permanent is asked for on every link, before anybody wants it`() {
        var set = Set(permanent: ["always"])
        for _ in 0..<2 {
            set.linkUp()
            #expect(set.unconfirmed == 1)
            #expect(set.takeRequests() == [.init(subscribe: true, channels: ["always"])])
            #expect(set.confirmed("always") == [])
            #expect(set.unconfirmed == 0)
            #expect(set.linkDown() == [])
        }
    }

    // MARK: Refused

    private func told(_ action: SubscriptionSet<String>.RefusalAction) -> String {
        switch action {
        case .askAlone: "ask alone"
        case .fail(let channel, let waiters): "fail \(channel) of \(waiters.sorted().joined(separator: ", "))"
        case .giveUp(let channel): "give up for \(channel)"
        case .notOurs: "not ours"
        }
    }

    @Test func `An error that answers nothing of ours is somebody else's`() {
        var set = up()
        #expect(told(set.refused()) == "not ours")
        set = subscribed()
        #expect(told(set.refused()) == "not ours")
    }

    @Test func `A channel that is refused alone fails who waits for it, and is forgotten`() {
        var set = asked()
        _ = set.subscribe("news", waiter: "second")
        _ = set.takeRequests()
        #expect(told(set.refused()) == "fail news of first, second")
        #expect(set.entries.isEmpty && set.unconfirmed == 0 && set.underWay == 0)
        #expect(set.subscribe("news", waiter: "later") == .wait, "rights can be given")
    }

    @Test func `Of several that are refused together each is asked for alone, and only the forbidden one fails`() {
        var set = up()
        for channel in ["a", "b", "c"] { _ = set.subscribe(channel, waiter: "for \(channel)") }
        #expect(set.takeRequests().count == 1)
        #expect(told(set.refused()) == "ask alone")
        let requests = set.takeRequests()
        #expect(requests.map(\.channels) == [["a"], ["b"], ["c"]])
        #expect(set.confirmed("a") == ["for a"])
        #expect(told(set.refused()) == "fail b of for b")
        #expect(set.confirmed("c") == ["for c"])
        #expect(set.unconfirmed == 0 && set.underWay == 0)
    }

    @Test func `What goes alone takes no company that comes later`() {
        var set = up()
        for channel in ["a", "b"] { _ = set.subscribe(channel, waiter: "") }
        _ = set.takeRequests()
        _ = set.refused()
        _ = set.subscribe("later", waiter: "")
        #expect(set.takeRequests().map(\.channels) == [["a"], ["b"], ["later"]])
    }

    @Test func `What stood before cannot be given up: the link is of no use`() {
        var set = subscribed()
        _ = set.linkDown()
        set.linkUp()
        #expect(set.subscribe("news", waiter: "newcomer") == .wait)
        _ = set.takeRequests()
        #expect(told(set.refused()) == "give up for news")
        #expect(set.linkDown() == ["newcomer"])
        set.linkUp()
        #expect(set.takeRequests() == [.init(subscribe: true, channels: ["news"])])
    }

    @Test func `A change of mind behind a refused request is settled by its own answers`() {
        var set = up()
        for channel in ["a", "b"] { _ = set.subscribe(channel, waiter: "first") }
        _ = set.takeRequests()
        #expect(set.unsubscribe("a") == ["first"])
        #expect(set.subscribe("a", waiter: "again") == .wait)
        #expect(told(set.refused()) == "ask alone")
        #expect(
            set.takeRequests().map { "\($0.subscribe) \($0.channels)" } == [
                "false [\"a\"]", "true [\"a\"]", "true [\"b\"]",
            ])
        #expect(set.confirmed("a") == [])
        #expect(set.confirmed("a") == ["again"])
        #expect(set.confirmed("b") == ["first"])
        #expect(set.unconfirmed == 0 && set.underWay == 0)
    }

    @Test func `An unsubscribe that is refused ends the wish`() {
        var set = leaving()
        _ = set.takeRequests()
        #expect(told(set.refused()) == "ask alone")
        #expect(set.entries.isEmpty && set.underWay == 0)
    }

    @Test func `A new link knows nothing of what the old one was asked`() {
        var set = asked()
        _ = set.takeRequests()
        #expect(set.underWay == 1)
        _ = set.linkDown()
        #expect(set.underWay == 0)
        set.linkUp()
        #expect(told(set.refused()) == "not ours")
    }

    // MARK: Batches

    @Test func `A request has at most 512 channels, and the order of the events is kept`() {
        var set = up()
        for number in 0..<1025 { _ = set.subscribe("c\(number)", waiter: "") }
        _ = set.unsubscribe("c0")
        _ = set.subscribe("last", waiter: "")
        let requests = set.takeRequests()
        #expect(requests.map(\.channels.count) == [512, 512, 1, 1, 1])
        #expect(requests.map(\.subscribe) == [true, true, true, false, true])
        #expect(requests.flatMap(\.channels).prefix(1025) == (0..<1025).map { "c\($0)" }[...])
    }

    @Test func `A new link drops what the old one had not sent`() {
        var set = asked()
        _ = set.linkDown()
        set.linkUp()
        #expect(set.subscribe("other", waiter: "") == .wait)
        #expect(set.takeRequests() == [.init(subscribe: true, channels: ["other"])])
    }
}
