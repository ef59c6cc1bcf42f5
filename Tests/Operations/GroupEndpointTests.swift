import Broker
import Foundation
import Testing

@testable import Operations

/// The API for groups over plain TCP.
struct GroupEndpointTests {
    private typealias House = AdminServerTests.House

    @Test func `A message that is posted is sent as it was written, with its options`() async throws {
        try await AdminServerTests.run { house async throws in
            let answer = try await house.post(
                "/v1/groups/a.b/messages?ttl=60", #"{"n": 1.0}"#,
                ["Content-Type: application/json; charset=utf-8", "Idempotency-Key: k-1"])
            #expect(answer.hasPrefix("HTTP/1.1 201 ") && House.body(answer) == #"{"position":"e.a:1","gateways":2}"#)
            #expect(
                house.fleet.sent == [
                    .init(group: "a.b", json: #"{"n": 1.0}"#, options: SendOptions(ttl: 60, key: "k-1"))
                ])
            #expect(try await house.post("/v1/groups/g/messages", "{}").hasPrefix("HTTP/1.1 201 "))
        }
    }

    @Test(arguments: [
        ("/v1/groups/a%20b/messages", "{}", [], 400, "bad_group"),
        ("/v1/groups/\(String(repeating: "a", count: 100))/messages", "{}", [], 400, "bad_group"),
        ("/v1/groups/g/messages", "", [], 400, "bad_message"),
        ("/v1/groups/g/messages", "[1]", [], 400, "bad_message"),
        ("/v1/groups/g/messages", "{", [], 400, "bad_message"),
        ("/v1/groups/g/messages", "{}{}", [], 400, "bad_message"),
        ("/v1/groups/g/messages?ttl=0", "{}", [], 400, "bad_ttl"),
        ("/v1/groups/g/messages?ttl=soon", "{}", [], 400, "bad_ttl"),
        ("/v1/groups/g/messages", "{}", ["Idempotency-Key: a", "Idempotency-Key: b"], 400, "bad_key"),
        ("/v1/groups/g/messages", "{}", ["Idempotency-Key: \(String(repeating: "k", count: 201))"], 400, "bad_key"),
        ("/v1/groups/g/messages", "{}", ["Content-Type: text/plain"], 415, "not_json"),
        ("/v1/groups/g/messages", "{\"a\":\"\(String(repeating: "x", count: 65_536))\"}", [], 413, "too_large"),
        ("/v1/groups/g/members", "{}", [], 405, "method_not_allowed"), ("/v1/groups/g", "{}", [], 404, "not_found"),
    ])
    func `What cannot be sent is told why, for programs and for people`(
        path: String, message: String, headers: [String], status: Int, code: String
    ) async throws {
        try await AdminServerTests.run { house async throws in
            let answer = try await house.post(path, message, headers)
            try House.expectError(answer, status, code)
            #expect(house.fleet.sent.isEmpty)
        }
    }

    @Test func `A group's log is read in pages`() async throws {
        try await AdminServerTests.run { house async throws in
            for n in 1...3 { _ = try await house.post("/v1/groups/g/messages", "{\"n\":\(n)}") }
            #expect(
                House.body(try await house.read("/v1/groups/g/messages?since=e.a:2"))
                    == #"{"continuity":"resumed","position":"e.a:3","next":"e.a:3","messages":[{"position":"e.a:3","#
                    + #""message":{"n":3}}]}"#)
            #expect(try await house.read("/v1/groups/g/messages").contains(#"{"position":"e.a:1","message":{"n":1}}"#))
            #expect(try await house.read("/v1/groups/g/messages?since=x").hasPrefix("HTTP/1.1 400 "))
        }
    }

    @Test func `Members and gateways are lists, their texts quoted`() async throws {
        try await AdminServerTests.run { house async throws in
            #expect(
                House.body(try await house.read("/v1/groups/g/members"))
                    == #"{"members":[{"channel":"specific.gw!1","user":"a\"b","gateway":"gw","since":5,"info":{"n":1}},"#
                    + #"{"channel":"specific.gw!2","user":null,"gateway":"gw","since":6,"info":null}]}"#)
            #expect(
                House.body(try await house.read("/v1/gateways"))
                    == #"{"gateways":[{"gateway":"gw","connections":3,"host":"h","pid":"x"}]}"#)
        }
    }

    @Test func `The description names every path, and is JSON`() async throws {
        try await AdminServerTests.run(key: "0123456789abcdef") { house async throws in
            let text = House.body(try await house.read("/openapi.json"))
            let parsed = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
            let paths = try #require(parsed?["paths"] as? [String: [String: Any]])
            #expect(paths["/v1/groups/{group}/messages"]?.keys.sorted() == ["get", "post"])
            #expect(paths["/v1/users/{user}/push-subscriptions"]?.keys.sorted() == ["delete", "put"])
            #expect(paths["/v1/users/{user}/connections"]?.keys.sorted() == ["delete"])
            #expect(paths.count == 17)
            let send = try #require(paths["/v1/groups/{group}/messages"]?["post"] as? [String: Any])
            #expect((send["responses"] as? [String: Any])?.keys.sorted() == ["201", "202", "default"])
            let names = (send["parameters"] as? [[String: Any]])?.compactMap { $0["name"] as? String }
            #expect(
                names == [
                    "group", "ttl", "at", "in", "collapse", "urgency", "escalate", "unless", "size", "Idempotency-Key",
                ])
            func body(_ method: String) -> Bool? {
                let endpoint = paths["/v1/users/{user}/push-subscriptions"]?[method] as? [String: Any]
                return (endpoint?["requestBody"] as? [String: Any])?["required"] as? Bool
            }
            #expect(body("put") == true && body("delete") == false)
        }
    }

    @Test func `Without Redis all of it is 503`() async throws {
        try await AdminServerTests.run { house async throws in
            house.fleet.fail(BackplaneError(.unavailable, "away"))
            #expect(try await house.post("/v1/groups/g/messages", "{}").hasPrefix("HTTP/1.1 503 "))
            for path in ["/v1/groups/g/messages", "/v1/groups/g/members", "/v1/gateways"] {
                let answer = try await house.read(path)
                #expect(answer.hasPrefix("HTTP/1.1 503 ") && answer.contains("Retry-After: "))
            }
        }
    }
}
