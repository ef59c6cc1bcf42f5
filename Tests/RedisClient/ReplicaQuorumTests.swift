import NIOCore
import Testing

@testable import RedisClient

/// The replicas that a primary has, by its answer to `ROLE`.
struct ReplicaQuorumTests {
    private func text(_ text: String) -> RedisValue { .string(ByteBuffer(string: text)) }

    @Test func `A primary's replicas are counted, and other servers have none`() {
        let replica = RedisValue.array([text("10.0.0.2"), text("6379"), text("100")])
        #expect(ReplicaQuorum.connected(.array([text("master"), .integer(100), .array([replica, replica])])) == 2)
        #expect(ReplicaQuorum.connected(.array([text("master"), .integer(0), .array([])])) == 0)
        let slave = RedisValue.array([text("slave"), text("h"), .integer(1), text("connected"), .integer(1)])
        for other in [slave, .null, .array([]), .array([text("master"), .integer(1), .null]), .status("OK")] {
            #expect(ReplicaQuorum.connected(other) == nil)
        }
    }
}
