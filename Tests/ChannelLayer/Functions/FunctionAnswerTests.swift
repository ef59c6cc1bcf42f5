import Broker
import NIOCore
import Testing

@testable import ChannelLayer
@testable import RedisClient

/// Which replies of each function are accepted, and which are not.
struct FunctionAnswerTests {
    private let functions = LayerFunctions(keys: LayerKeys())
    private let group = try! GroupName("g")
    private let position = Position("1.2:3")!

    private func text(_ text: String) -> RedisValue { .string(ByteBuffer(string: text)) }

    /// The error's text; nil: the reply was accepted.
    private func refusal<A>(_ call: FunctionCall<A>, _ reply: RedisValue) -> String? {
        do throws(RedisError) {
            _ = try call.answer(reply)
            return nil
        } catch {
            #expect(error.code == .unexpectedAnswer)
            return error.message
        }
    }

    @Test func `A send is answered with a position and a number`() throws {
        let call = functions.groupSend(ByteBuffer(string: "{}"), to: group)
        let receipt = try call.answer(.array([text("1.2:3"), .integer(2)]))
        #expect(receipt == .sent(Receipt(position: position, gateways: 2)))
        for reply: RedisValue in [
            .null, .integer(1), text("1.2:3"), .array([]), .array([text("1.2:3")]), .array([text("x"), .integer(2)]),
            .array([text("1.2:3"), .null]), .array([text("1.2:3"), .integer(2), .integer(3)]),
        ] {
            #expect(refusal(call, reply) == "group_send answered something else than a position or an id")
        }
    }

    @Test func `A send for later is answered with an id`() throws {
        let call = functions.groupSend(ByteBuffer(string: "{}"), to: group)
        #expect(try call.answer(.array([text("00ab@g"), .integer(0)])) == .scheduled("00ab@g"))
    }

    @Test func `A join is answered with position and terms, of which unknown ones are passed over`() throws {
        let members = (1...4).map { (group: group, member: Member(connection: ConnectionID(value: $0), user: nil)) }
        let call = functions.groupAdd(members, gateway: "gw", lease: "gw", expiry: 60)
        let answers = [text("1.2:3"), text("1.2:3 live"), text("1.2:3 presence"), text("0.0:0 live presence fragrant")]
        let answer = try call.answer(.array(answers + [.integer(7)]))
        #expect(answer.restored == 7)
        #expect(answer.joins.map(\.position) == [position, position, position, .beginning])
        #expect(answer.joins.map(\.terms.isLogged) == [true, false, true, false])
        #expect(answer.joins.map(\.terms.tellsPresence) == [false, false, true, true])
        for reply: RedisValue in [
            .null, .array(answers), .array(answers.dropLast() + [.integer(7)]),
            .array(answers.dropLast() + [text("x"), .integer(0)]),
            .array(answers + [.null]),
        ] {
            #expect(refusal(call, reply) == "group_add answered something else than positions")
        }
    }

    private func read(_ reply: RedisValue...) throws -> [GroupReadAnswer] {
        let places = reply.map { _ in (ReadPlace(group: group, since: position), 100) }
        return try functions.groupRead(places, limit: 10, budget: 1000).answer(.array(reply))
    }

    @Test(arguments: [
        ("resumed", Continuity.resumed), ("position", .resumed), ("history_changed", .historyChanged), ("gap", .gap),
        ("rolled_back", .rolledBack), ("reset", .reset), ("live", .liveOnly),
    ])
    func `A page says how it continues what the reader has seen`(verdict: String, continuity: Continuity) throws {
        let message = text(#"{"__tocsin__":"9.9:9","a":1}"#)
        let entries = RedisValue.array([text("4"), message, text("5"), text(""), text("6"), text("nonsense")])
        let answer = try read(.array([text(verdict), text("1.2:7"), .integer(3), entries]))
        guard case .page(let page) = answer[0] else { return #expect(Bool(false), "a page") }
        #expect(page.continuity == continuity)
        #expect(page.position == Position("1.2:7") && page.proven == 3)
        #expect(page.entries.map(\.offset) == [4, 5, 6])
        #expect(page.entries.map(\.isUnreadable) == [false, false, true])
        #expect(page.entries.map { $0.publication?.position } == [Position("1.2:4"), nil, nil])
        #expect(page.entries[0].publication.map { String(buffer: $0.json) } == #"{"a":1}"#)
        #expect(page.isCut)
    }

    /// A verdict of a later library must not become `reset`, which would tell every client that everything is lost.
    @Test func `A verdict that is not known is no page, and costs the other groups nothing`() throws {
        let good = RedisValue.array([text("resumed"), text("1.2:3"), .integer(3), .array([])])
        let answers = try read(
            .array([text("merged"), text("1.2:7"), .integer(3), .array([])]), good, .array([text("later")]), .null,
            .array([text("resumed"), text("1.2:3"), .integer(3)]),
            .array([text("resumed"), text("1.2:3"), .integer(3), .array([text("4")])]),
            .array([text("resumed"), text("1.2:3"), .integer(3), .array([text("x"), text("{}")])]))
        let kinds = answers.map { answer in
            switch answer {
            case .page: "page"
            case .later: "later"
            case .unknown: "unknown"
            }
        }
        #expect(kinds == ["unknown", "page", "later", "unknown", "unknown", "unknown", "unknown"])
    }

    @Test func `As many groups are answered as were asked for`() {
        let call = functions.groupRead([(ReadPlace(group: group, since: nil), 1)], limit: 1, budget: 1)
        #expect(refusal(call, .array([])) == "group_read answered something else than pages")
        #expect(refusal(call, .array([.null, .null])) != nil)
    }

    @Test func `Sweeps are answered with a number, or with one and the keys in the way`() throws {
        let call = functions.gatewaySweep(limit: 10)
        #expect(try call.answer(.integer(3)) == SweepAnswer(.integer(3)))
        let answer = try call.answer(.array([.integer(2), text("a"), text("b")]))
        #expect(answer.number == 2 && answer.foreign == ["a", "b"])
        #expect(refusal(call, .array([])) == "gateway_sweep answered something else than a number")
        #expect(refusal(functions.gatewayRetain(expiry: 1, from: 0, limit: 1), .null) != nil)
    }

    @Test func `The relay's answers are staged messages, and what became of one`() throws {
        let collect = functions.relayCollect(inbox: 1, limit: 10)
        let staged = RedisValue.array([.array([text("1-0"), text("m")])])
        let answer = try collect.answer(.array([.integer(1), .integer(1), text(""), staged]))
        #expect(answer.hasMore && answer.foreign == nil)
        #expect(answer.staged == [StagedMessage(id: "1-0", bytes: ByteBuffer(string: "m"))])
        #expect(try collect.answer(.array([.integer(0), .integer(0), text("k"), .array([])])).foreign == "k")
        #expect(refusal(collect, .array([.integer(0), .integer(0), text(""), .array([.null])])) != nil)
        #expect(refusal(collect, .array([.integer(0), .array([])])) != nil)

        let commit = functions.relayCommit("1-0", ByteBuffer(string: "{}"), to: [group], inbox: 1)
        #expect(
            try [2, 0, -1, -2].map { try commit.answer(.integer($0)) }
                == [.committed(groups: 2), .committed(groups: 0), .gone, .notItsTurn])
        #expect(refusal(commit, .integer(-3)) == "relay_commit answered something else than a number")
        #expect(refusal(functions.relayDrop("1-0", inbox: 1), .null) != nil)
    }

    @Test func `The rest is answered with numbers, texts and versions`() throws {
        #expect(try functions.groupPosition(of: group).answer(text("1.2:3")) == position)
        #expect(refusal(functions.groupPosition(of: group), text("")) != nil)
        #expect(try functions.groupDiscard([], gateway: "gw", lease: "gw").answer(.integer(0)) == 0)
        #expect(refusal(functions.groupDiscard([], gateway: "gw", lease: "gw"), .null) != nil)
        let release = functions.gatewayRelease("gw", process: "a1")
        #expect(try release.answer(.integer(1)) && !release.answer(.integer(0)))
        #expect(
            try functions.gatewayTrial(presence: false, replicas: .zero).answer(.array([text("+info")])) == ["+info"])
        #expect(refusal(functions.gatewayTrial(presence: false, replicas: .zero), .integer(0)) != nil)
        #expect(try functions.policySet([], known: nil).answer(.array([.integer(4), .integer(1)])).isChanged)
        #expect(refusal(functions.policySet([], known: nil), .integer(4)) != nil)
        #expect(
            try functions.tocsinVersion.answer(.array([.integer(9), .integer(8)]))
                == LibraryVersion(version: 9, compatibleSince: 8))
        #expect(try functions.tocsinVersion.answer(.integer(6)).version == 6, "before version 7")
    }

    @Test(arguments: [
        (6, 6, LibraryVersion.Verdict.load), (7, 7, .use), (8, 7, .use), (8, 8, .tooNew), (9, 8, .tooNew), (9, 1, .use),
    ])
    func `A gateway of version 7 loads its own library over an older one, and refuses one made for newer gateways`(
        version: Int, since: Int, verdict: LibraryVersion.Verdict
    ) {
        #expect(LibraryVersion(version: version, compatibleSince: since).verdict(own: 7) == verdict)
    }
}
