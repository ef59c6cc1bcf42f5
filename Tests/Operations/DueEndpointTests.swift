import Broker
import NIOCore
import Testing

@testable import Operations

/// Scheduled messages and escalations over HTTP.
struct DueEndpointTests {
    private typealias House = AdminServerTests.House

    @Test func `What is scheduled is listed, of one group or of all`() async throws {
        try await AdminServerTests.run { house async throws in
            let one = #"{"scheduled":[{"id":"5a0c@g","group":"g","at":1795351382.500,"message":{"n":1}}]}"#
            #expect(House.body(try await house.read("/v1/scheduled")) == one)
            #expect(House.body(try await house.read("/v1/scheduled?group=g&limit=1")) == one)
            #expect(House.body(try await house.read("/v1/scheduled?group=h")) == #"{"scheduled":[]}"#)
        }
    }

    @Test func `A scheduled message is cancelled once`() async throws {
        try await AdminServerTests.run { house async throws in
            #expect(
                House.body(try await house.read("/v1/scheduled/5a0c%40g", method: "DELETE"))
                    == #"{"cancelled":"5a0c@g"}"#)
            try House.expectError(try await house.read("/v1/scheduled/5a0d@g", method: "DELETE"), 404, "not_scheduled")
        }
    }

    @Test(arguments: ["5a0c", "@g", "5A0C@g", "xyz@g", "5a0c@", "5a0c@g@h", "5a0c@a%20b"])
    func `What is no id cancels nothing`(id: String) async throws {
        try await AdminServerTests.run { house async throws in
            try House.expectError(try await house.read("/v1/scheduled/\(id)", method: "DELETE"), 400, "bad_id")
        }
    }

    @Test func `Escalations are shown, and dead letters sent again`() async throws {
        try await AdminServerTests.run { house async throws in
            #expect(
                House.body(try await house.read("/v1/escalations"))
                    == #"{"targets":[{"target":"site","waiting":1,"in_flight":2}],"dead":[]}"#)
            for body in [#"{"id":"esc_0/site"}"#, #"{"all":true}"#] {
                #expect(House.body(try await house.post("/v1/escalations/retry", body)) == #"{"retried":1}"#)
            }
            #expect(house.fleet.retried == ["esc_0/site", nil])
            try House.expectError(
                try await house.post("/v1/escalations/retry", #"{"id":"esc_1/site"}"#), 404, "no_dead_letter")
        }
    }

    @Test(arguments: [
        ("{}", "bad_body"), (#"{"id":"esc_0/site","all":true}"#, "bad_body"), (#"{"all":false}"#, "bad_body"),
        (#"{"id":"esc_0/site","all":false}"#, "bad_body"), (#"{"id":"ALL"}"#, "bad_id"), (#"{"id":""}"#, "bad_id"),
        ("nothing", "bad_body"),
    ])
    func `A retry says what it retries, or nothing is sent`(body: String, code: String) async throws {
        try await AdminServerTests.run { house async throws in
            try House.expectError(try await house.post("/v1/escalations/retry", body), 400, code)
            #expect(house.fleet.retried.isEmpty)
        }
    }

    @Test(arguments: ["/v1/scheduled", "/v1/escalations"])
    func `A limit is 1 to 1000`(path: String) async throws {
        try await AdminServerTests.run { house async throws in
            for limit in ["0", "1001", "-1", "many", ""] {
                try House.expectError(try await house.read("\(path)?limit=\(limit)"), 400, "bad_limit")
            }
        }
    }

    @Test func `The lists of several servers become one, in order and within the limit`() throws {
        func scheduled(_ entries: (String, String)...) -> ByteBuffer {
            let texts = entries.map { #"{"id":"\#($0.0)@g","group":"g","at":\#($0.1),"message":{}}"# }
            return ByteBuffer(string: #"{"scheduled":[\#(texts.joined(separator: ","))]}"#)
        }
        let list = ScheduledMessage.list(
            [scheduled(("a", "3.000"), ("b", "10.500")), scheduled(("c", "9.000"))], limit: 2)
        #expect(list?.map(\.id) == ["a@g", "c@g"])
        #expect(ScheduledMessage.list([ByteBuffer(string: "{}")], limit: 2) == nil)
        func escalations(_ waiting: Int, _ died: String) -> ByteBuffer {
            let letter =
                #"{"id":"esc_\#(waiting)/site","target":"site","group":"g","user":"1","position":"e.a:1","attempts":3,"#
                + #""died_at":\#(died),"reason":"HTTP 500"}"#
            return ByteBuffer(
                string: #"{"targets":[{"target":"site","waiting":\#(waiting),"in_flight":1}],"dead":[\#(letter)]}"#)
        }
        let overview = try #require(
            EscalationOverview([escalations(2, "5.000"), escalations(3, "20.000")], limit: 100))
        #expect(overview.targets == [.init(name: "site", waiting: 5, inFlight: 2)])
        #expect(overview.dead.map(\.id) == ["esc_3/site", "esc_2/site"])
        #expect(EscalationOverview([escalations(2, "5.000"), escalations(3, "20.000")], limit: 1)?.dead.count == 1)
        #expect(EscalationOverview([ByteBuffer(string: "[]")], limit: 1) == nil)
    }
}
