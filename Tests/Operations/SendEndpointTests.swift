import Broker
import Testing

@testable import Operations

/// Sending over HTTP with the options of `group_send`.
struct SendEndpointTests {
    private typealias House = AdminServerTests.House

    @Test func `Each parameter is the option of its name`() async throws {
        try await AdminServerTests.run { house async throws in
            let query = "ttl=60&size=5&collapse=a%20b&urgency=Very-Low&escalate=300&unless=read"
            let answer = try await house.post("/v1/groups/g/messages?\(query)", "{}")
            #expect(answer.hasPrefix("HTTP/1.1 201 "))
            var options = SendOptions(ttl: 60)
            options.size = 5
            options.collapse = "a b"
            options.urgency = .veryLow
            options.escalation = .init(after: 300, unless: .read)
            #expect(house.fleet.sent == [.init(group: "g", json: "{}", options: options)])
        }
    }

    @Test(arguments: [
        ("at=1795351382", SendOptions.Time.at(1_795_351_382)), ("at=1795351382.125", .at(1_795_351_382.125)),
        ("in=60", .after(60)), ("in=0.5", .after(0.5)), ("in=90s", .after(90)), ("in=5m", .after(300)),
        ("in=2h", .after(7_200)), ("in=1d", .after(86_400)), ("in=1.5h", .after(5_400)), ("in=0", .after(0)),
    ])
    func `A message for later is answered 202 with its id`(query: String, time: SendOptions.Time) async throws {
        try await AdminServerTests.run { house async throws in
            let answer = try await house.post("/v1/groups/g/messages?\(query)", "{}")
            #expect(answer.hasPrefix("HTTP/1.1 202 "))
            #expect(House.body(answer) == #"{"scheduled":"5a0c@g"}"#)
            #expect(house.fleet.sent.map(\.options.time) == [time])
        }
    }

    @Test(arguments: [
        ("ttl=1.5", "bad_ttl"), ("ttl=315360001", "bad_ttl"), ("ttl=%2B5", "bad_ttl"), ("size=-1", "bad_size"),
        ("size=1000001", "bad_size"), ("collapse=", "bad_collapse"), ("urgency=asap", "bad_urgency"),
        ("escalate=5m", "bad_escalate"), ("escalate=315360001", "bad_escalate"),
        ("escalate=1&unless=opened", "bad_unless"),
        ("unless=read", "bad_unless"), ("at=tomorrow", "bad_at"), ("at=1795351382.1234", "bad_at"),
        ("at=1795351382000", "bad_at"), ("at=-1", "bad_at"), ("at=1e9", "bad_at"), ("at=1&in=1", "bad_at"),
        ("in=5w", "bad_in"), ("in=m", "bad_in"), ("in=-5", "bad_in"), ("in=3651d", "bad_in"), ("in=", "bad_in"),
        ("in=nan", "bad_in"), ("in=%D9%A5", "bad_in"), ("escalte=300", "unknown_parameter"),
    ])
    func `A parameter that means nothing is refused by name, and nothing is sent`(query: String, code: String)
        async throws
    {
        try await AdminServerTests.run { house async throws in
            try House.expectError(try await house.post("/v1/groups/g/messages?\(query)", "{}"), 400, code)
            #expect(house.fleet.sent.isEmpty)
        }
    }

    @Test func `A name of 200 bytes collapses, one of 201 does not`() async throws {
        try await AdminServerTests.run { house async throws in
            let name = String(repeating: "k", count: 200)
            #expect(try await house.post("/v1/groups/g/messages?collapse=\(name)", "{}").hasPrefix("HTTP/1.1 201 "))
            try House.expectError(
                try await house.post("/v1/groups/g/messages?collapse=\(name)k", "{}"), 400, "bad_collapse")
        }
    }

    @Test(arguments: [
        (
            "the group keeps no receipts: set `receipts: true` or `inbox: true` in its policy, or send without ESCALATE",
            409,
            "no_receipts", "set `receipts: true` or `inbox: true` in its policy, or send without ESCALATE"
        ),
        (
            "the group keeps no inbox: set `inbox: true` in its policy", 409, "no_inbox",
            "set `inbox: true` in its policy"
        ),
        (
            "the group belongs to another user", 409, "other_user",
            "ask for the user whom the group's policy names with {user}"
        ),
        (
            "the group has no message at this position", 404, "no_message",
            "use the position that the send, or a page of the log, answered for this group"
        ),
        (
            "1000000 sends and escalations are waiting already; let them become due, or cancel some", 409,
            "too_many_waiting", "let them become due, or cancel some"
        ),
        (
            "the user has 20 push subscriptions already; remove one first", 409, "too_many_subscriptions",
            "remove one first"
        ),
        (
            "the message has a map key that is no string", 400, "refused",
            "change the request: the same is refused again"
        ),
    ])
    func `What Redis refuses has a status, a code and the remedy that its text names`(
        text: String, status: Int, code: String, remedy: String
    ) async throws {
        try await AdminServerTests.run { house async throws in
            house.fleet.fail(BackplaneError(.refused, text))
            let answer = try await house.post("/v1/groups/g/messages", "{}")
            try House.expectError(answer, status, code)
            #expect(answer.contains("\"remedy\":\"\(remedy)\""))
        }
    }
}
