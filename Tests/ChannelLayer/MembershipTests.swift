import Broker
import NIOCore
import NIOPosix
import RedisClient
import TestSupport
import Testing

@testable import ChannelLayer

struct MembershipTests {
    /// Commands without a connection fail immediately, in the turn in which they are sent.
    @Test(.timeLimit(.minutes(1)))
    func `A leave without a connection to Redis is tried again later, and the loop goes on meanwhile`() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let redis = RedisConfiguration(address: try RedisAddress("redis://127.0.0.1:1/3"), clientName: "gw-a")
        let configuration = LayerConfiguration(LayerSettings(), redis: redis, gatewayID: "gw-a")
        let client = try await RedisClient.start(redis, on: loop, logger: quiet)
        let turns = loop.submit {
            let membership = Membership(
                configuration, functions: LayerFunctions(keys: LayerKeys()), client: client,
                subscriber: RedisSubscriber(redis, permanent: [], on: loop, logger: quiet), logger: quiet)
            membership.resume()
            let (news, member) = (try GroupName("news"), Member(connection: .random(), user: nil))
            membership.add(member, to: news, outlet: 0, loop.makePromise())
            membership.discard(member.connection, from: news, outlet: 0)
            return NIOLoopBound(membership, eventLoop: loop)
        }
        let membership = try await turns.get()
        // The first attempt is due after 10 ms, and each further one too.
        for _ in 0..<5 { try await loop.scheduleTask(in: .milliseconds(10)) {}.futureResult.get() }
        try await loop.submit { membership.value.pause() }.get()
        await client.close()
        try await group.shutdownGracefully()
    }
}
