import Broker
import NIOCore
import Testing

@testable import ChannelLayer
@testable import RedisClient

/// Answers about receipts, inboxes and what is due; and the event that gateways hear of a change.
struct InboxAnswerTests {
    private let functions = LayerFunctions(keys: LayerKeys())
    private let group = try! GroupName("g")
    private let position = Position("1.2:3")!

    private func text(_ text: String) -> RedisValue { .string(ByteBuffer(string: text)) }
    private func refuses<A>(_ call: FunctionCall<A>, _ reply: RedisValue) -> Bool {
        (try? call.answer(reply)) == nil
    }

    @Test func `A mark is answered with the read state`() throws {
        let call = functions.markRead(.all, in: group, user: "42")
        let state = try call.answer(text(#"{"unread":2,"read":"1.2:3"}"#))
        #expect(state == InboxState(unread: 2, read: position))
        for reply in [.null, .integer(1), text("{}"), text(#"{"unread":2}"#), text(#"{"unread":2,"read":"x"}"#)] {
            #expect(refuses(call, reply))
        }
    }

    @Test func `An inbox's singles are told apart by the cursor`() throws {
        let call = functions.inbox(of: group, user: "42", before: nil, limit: 10)
        let entries: RedisValue = .array([
            .array([.integer(5), .integer(1), text(#"{"n":5}"#)]), .array([.integer(4), .integer(0), text("\u{81}")]),
            .array([.integer(2), .integer(0), text(#"{"n":2}"#)]),
        ])
        let singles: RedisValue = .array([.integer(2), .integer(5)])
        let page = try call.answer(.array([.integer(2), text("1.2:3"), singles, entries]))
        #expect(page.state == InboxState(unread: 2, read: position, readSingly: [5], unreadSingly: [2]))
        #expect(page.entries.map(\.position.offset) == [5, 2] && page.entries.map(\.isRead) == [true, false])
    }

    @Test func `A proof says where it begins, by its number of messages`() {
        var bytes = ByteBuffer()
        let since = Position("1.2:9")!
        functions.markDelivered([
            Broker.Confirmation(group: group, user: "42", position: since, after: 4),
            Broker.Confirmation(group: group, user: nil, position: since),
        ]).command.write(to: &bytes)
        let text = String(buffer: bytes)
        #expect(text.contains("\r\n1.2:9/5\r\n") && text.hasSuffix("\r\n1.2:9\r\n"))
    }

    @Test func `Singles are offsets`() throws {
        let call = functions.inbox(of: group, user: "42", before: nil, limit: 0)
        let answer = { (singles: [RedisValue]) in
            RedisValue.array([.integer(1), .string(ByteBuffer(string: "1.2:3")), .array(singles), .array([])])
        }
        let state = try call.answer(answer([.integer(2), .integer(5)])).state
        #expect(state.readSingly == [5] && state.unreadSingly == [2])
        #expect(state.hasRead(1) && !state.hasRead(2) && state.hasRead(3) && !state.hasRead(4) && state.hasRead(5))
        #expect(refuses(call, answer([.integer(-1)])) && refuses(call, answer([.null])) && refuses(call, .array([])))
    }

    @Test func `What was due is answered with numbers`() throws {
        let call = functions.dueRun(limit: 10)
        let answer = try call.answer(.array([.integer(3), .integer(250), .integer(1), .integer(2)]))
        #expect(answer.done == 3 && answer.wait == 250 && answer.sent == 1 && answer.escalated == 2)
        let none = try call.answer(.array([.integer(0), .integer(-1), .integer(0), .integer(0)]))
        #expect(none.wait == nil && refuses(call, .array([.integer(0)])) && refuses(call, .null))
    }

    @Test func `A claim has what a try needs`() throws {
        let call = functions.escalationClaim("site", most: 8, limit: 8, seconds: 60)
        let fields = [
            "esc_1/site", "esc_1", "2", "1795351382.500", "42isInsufficient", "42", "1.2:3", "{}", "", "60", "high",
            "k",
        ]
        let task = try #require(try call.answer(.array([.array(fields.map(text))])).first)
        #expect(task.id == "esc_1/site" && task.attempt == 2 && task.since == 1_795_351_382.5 && task.ttl == 60)
        #expect(task.subscription == nil && task.urgency == "high" && task.topic == "k")
        #expect(refuses(call, .array([.array([text("a")])])))
    }

    @Test(arguments: [
        "", "!", "!inbox", "!inbox {}", #"!inbox {"user":"42"}"#, #"!inbox {"user":"42","unread":1,"read":"?"}"#,
    ])
    func `What is no change is none`(payload: String) {
        #expect(ReadStateChange(ByteBuffer(string: payload)) == nil)
    }

    @Test func `A change names its user and the single message it is about`() {
        func change(_ rest: String) -> ReadStateChange? {
            ReadStateChange(ByteBuffer(string: #"!inbox {"user":"4\"2","unread":1,"read":"1.2:3"\#(rest)}"#))
        }
        let state = InboxState(unread: 1, read: position)
        let single = ReadStateChange(user: "4\"2", state: state, mark: .one(position))
        #expect(change("") == ReadStateChange(user: "4\"2", state: state))
        #expect(change(#","read_one":"1.2:3""#) == single)
        #expect(change(#","unread_one":"1.2:3""#)?.mark == .unreadOne(position))
    }

    @Test(arguments: [#"{"a":1}"#, "\u{81}\u{a1}", "[1]"]) func `A message is no change`(payload: String) {
        #expect(!ReadStateChange.isOne(ByteBuffer(string: payload)))
    }
}
