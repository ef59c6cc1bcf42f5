import Broker
import Testing

@testable import Operations

/// Receipts, inboxes and erasure over HTTP.
struct InboxEndpointTests {
    private typealias House = AdminServerTests.House

    @Test func `Receipts of a message are passed on, its colon escaped or not`() async throws {
        try await AdminServerTests.run { house async throws in
            for position in ["e.a:2", "e.a%3A2"] {
                let answer = try await house.read("/v1/groups/g/messages/\(position)/receipts")
                #expect(answer.hasPrefix("HTTP/1.1 200 "))
                #expect(
                    House.body(answer)
                        == #"{"position":"e.a:2","users":[{"user":"42","delivered":false,"read":false}]}"#)
            }
        }
    }

    @Test(arguments: [
        ("/v1/groups/g/messages/17/receipts", 400, "bad_position"),
        ("/v1/groups/g%20/messages/e.a:1/receipts", 400, "bad_group"),
        ("/v1/groups/g/messages//receipts", 404, "not_found"),
        ("/v1/users/42/inbox?group=a%20b", 400, "bad_group"), ("/v1/users/42/inbox?group=", 400, "bad_group"),
        ("/v1/users/42/inbox?group=a&limit=1001", 400, "bad_limit"),
        ("/v1/users/42/inbox?group=a&limit=all", 400, "bad_limit"),
        ("/v1/users/42/inbox?group=a&before=2", 400, "bad_position"),
        ("/v1/users/42/inbox?limit=5", 400, "bad_group"), ("/v1/users/42/inbox?before=e.a:1", 400, "bad_group"),
        ("/v1/users/42/inbox?group=quiet", 409, "no_inbox"), ("/v1/users//inbox", 404, "not_found"),
        ("/v1/users/42/inbox/read", 405, "method_not_allowed"),
    ])
    func `What cannot be read is told why`(path: String, status: Int, code: String) async throws {
        try await AdminServerTests.run { house async throws in
            try House.expectError(try await house.read(path), status, code)
        }
    }

    @Test func `A user's messages come newest first, page by page`() async throws {
        try await AdminServerTests.run { house async throws in
            #expect(
                House.body(try await house.read("/v1/users/42/inbox?group=a&limit=2"))
                    == #"{"unread":2,"read":"e.a:1","messages":[{"position":"e.a:3","message":{"n":3},"read":false},"#
                    + #"{"position":"e.a:2","message":{"n":2},"read":false}]}"#)
            #expect(
                House.body(try await house.read("/v1/users/42/inbox?group=a&before=e.a:2"))
                    == #"{"unread":2,"read":"e.a:1","messages":[{"position":"e.a:1","message":{"n":1},"read":true}]}"#)
        }
    }

    @Test func `Without a group every inbox of the user is listed, and groups that keep none are left out`()
        async throws
    {
        try await AdminServerTests.run { house async throws in
            #expect(
                House.body(try await house.read("/v1/users/42/inbox"))
                    == #"{"inboxes":[{"group":"a","unread":2,"read":"e.a:1"},{"group":"b","unread":2,"read":"e.a:1"}]}"#
            )
        }
    }

    @Test(arguments: [
        (#"{"group":"a","position":"e.a:3"}"#, ReadMark.upTo(Position("e.a:3")!)), (#"{"group":"a","all":true}"#, .all),
        (#"{"group":"a","one":"e.a:2"}"#, .one(Position("e.a:2")!)),
        (#"{"group":"a","unread":"e.a:2"}"#, .unreadOne(Position("e.a:2")!)),
    ])
    func `A mark is answered with the read state`(body: String, mark: ReadMark) async throws {
        try await AdminServerTests.run { house async throws in
            let answer = try await house.post("/v1/users/42/inbox/read", body)
            #expect(answer.hasPrefix("HTTP/1.1 200 ") && House.body(answer) == #"{"unread":0,"read":"e.a:3"}"#)
            #expect(house.fleet.marks == [mark])
        }
    }

    @Test(arguments: [
        ("", "bad_body"), ("[]", "bad_body"), (#"{"all":true}"#, "bad_body"),
        (#"{"group":"a b","all":true}"#, "bad_group"),
        (#"{"group":"a"}"#, "bad_mark"), (#"{"group":"a","all":false}"#, "bad_mark"),
        (#"{"group":"a","all":1}"#, "bad_mark"),
        (#"{"group":"a","position":3}"#, "bad_mark"), (#"{"group":"a","position":"3"}"#, "bad_position"),
        (#"{"group":"a","position":"e.a:1","all":true}"#, "bad_mark"),
    ])
    func `A mark that is none, or two, is refused`(body: String, code: String) async throws {
        try await AdminServerTests.run { house async throws in
            try House.expectError(try await house.post("/v1/users/42/inbox/read", body), 400, code)
            #expect(house.fleet.marks.isEmpty)
        }
    }

    @Test func `A user is erased by name, and the answer says what was done`() async throws {
        try await AdminServerTests.run { house async throws in
            let answer = try await house.read("/v1/users/a%2Fb%22", method: "DELETE")
            #expect(answer.hasPrefix("HTTP/1.1 200 "))
            #expect(House.body(answer) == #"{"erased":"a/b\"","groups":["a"],"gateways":2,"living":2}"#)
            #expect(house.fleet.erased == ["a/b\""])
            try House.expectError(try await house.read("/v1/users/", method: "DELETE"), 404, "not_found")
        }
    }

    @Test func `Without Redis each of them is 503`() async throws {
        try await AdminServerTests.run { house async throws in
            house.fleet.fail(BackplaneError(.unavailable, "away"))
            for path in [
                "/v1/groups/g/messages/e.a:1/receipts", "/v1/users/42/inbox", "/v1/users/42/inbox?group=a",
                "/v1/scheduled",
                "/v1/escalations",
            ] {
                try House.expectError(try await house.read(path), 503, "unavailable")
            }
            for path in ["/v1/users/42", "/v1/scheduled/5a0c@g", "/v1/users/42/push-subscriptions?endpoint=x"] {
                try House.expectError(try await house.read(path, method: "DELETE"), 503, "unavailable")
            }
            for (path, body) in [
                ("/v1/users/42/inbox/read", #"{"group":"a","all":true}"#), ("/v1/escalations/retry", #"{"all":true}"#),
            ] {
                try House.expectError(try await house.post(path, body), 503, "unavailable")
            }
        }
    }
}
