import Broker
import NIOCore
import Testing

@testable import Gateway

struct InboxCommandTests {
    private typealias House = SessionHouse

    private func parse(_ text: String) -> Result<InboxCommand, InboxError> {
        InboxCommand.parse(ByteBuffer(string: text)).1
    }

    private func code(_ text: String) -> InboxError.Code? {
        if case .failure(let error) = parse(text) { error.code } else { nil }
    }

    @Test(arguments: [
        (#"{"read":"e.a:3"}"#, InboxCommand.Request.mark(.upTo(SessionHouse.at(3)))),
        (#"{"read_one":"e.a:3"}"#, .mark(.one(SessionHouse.at(3)))),
        (#"{"unread_one":"e.a:3"}"#, .mark(.unreadOne(SessionHouse.at(3)))),
        (#"{"read_all":true}"#, .mark(.all)),
        (#"{"state":true}"#, .state),
        (#"{"page":{}}"#, .page(before: nil, limit: 50)),
        (#"{"page":{"before":"e.a:9","limit":1000}}"#, .page(before: SessionHouse.at(9), limit: 1000)),
        (#"{"send":{"a":[1]}}"#, .send(ByteBuffer(string: #"{"a":[1]}"#))),
    ])
    func `Each command is understood, with and without its group`(text: String, request: InboxCommand.Request) {
        #expect(parse(text) == .success(InboxCommand(request: request, group: nil)))
        let named = text.dropLast() + #","group":"news"}"#
        #expect(parse(String(named)) == .success(InboxCommand(request: request, group: "news")))
    }

    @Test(arguments: [
        "", "x", "[]", "null", "{", "{}", #"{"red":"e.a:1"}"#, #"{"read":"e.a:1","read_all":true}"#,
        #"{"read_all":1}"#, #"{"read_all":false}"#, #"{"state":"yes"}"#, #"{"page":true}"#, #"{"page":{"limit":0}}"#,
        #"{"page":{"limit":1001}}"#, #"{"page":{"limit":"5"}}"#, #"{"page":{"limit":-1}}"#, #"{"send":"text"}"#,
        #"{"send":[1]}"#, #"{"read_all":true,"group":7}"#, #"{"read_all":true,"ref":{}}"#,
        #"{"read_all":true,"ref":true}"#,
    ])
    func `What is no command is refused, and says why`(text: String) { #expect(code(text) == .badCommand) }

    @Test(arguments: [
        #"{"read":7}"#, #"{"read":""}"#, #"{"read_one":"e.a"}"#, #"{"unread_one":"e.a:-1"}"#, #"{"page":{"before":3}}"#,
    ])
    func `What is no position is refused as such`(text: String) { #expect(code(text) == .badPosition) }

    @Test(arguments: [#""a""#, "7", "-1.5", #""\"""#])
    func `A reference comes back as it was, also with an error`(reference: String) {
        for command in [#""read_all":true"#, #""nothing":1"#] {
            let text = ByteBuffer(string: "{\(command),\"ref\":\(reference)}")
            #expect(InboxCommand.parse(text).reference == ByteBuffer(string: reference))
        }
    }

    @Test func `A reference has a limit`() {
        let long = String(repeating: "x", count: 126)
        #expect(code("{\"read_all\":true,\"ref\":\"\(long)\"}") == nil)
        #expect(code("{\"read_all\":true,\"ref\":\"\(long)x\"}") == .badCommand)
    }

    @Test func `A command without a group means the only inbox`() throws {
        let groups = try ["a", "b"].map { try GroupName($0) }
        #expect(try InboxDesk.group(nil, among: [groups[0]]) == groups[0])
        #expect(try InboxDesk.group("b", among: groups) == groups[1])
        for (name, inboxes, code) in [
            (nil, groups, InboxError.Code.groupNeeded), (nil, [], .unknownGroup), ("c", groups, .unknownGroup),
            ("b", [groups[0]], .unknownGroup),
        ] as [(String?, [GroupName], InboxError.Code)] {
            let error = #expect(throws: InboxError.self) { try InboxDesk.group(name, among: inboxes) }
            #expect(error?.code == code)
        }
    }
}
