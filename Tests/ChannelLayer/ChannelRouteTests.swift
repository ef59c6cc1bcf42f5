import Broker
import Testing

@testable import ChannelLayer

struct ChannelRouteTests {
    private let routes = ChannelRoutes(
        keys: LayerKeys(prefix: "shop", database: 5), gatewayID: "gw-1", process: "00ff", encrypts: true)

    @Test func `Each channel of a gateway is told apart by its name`() throws {
        #expect(routes["shop__probe__gw-1.00ff"] == .probe)
        #expect(routes["__keyspace@5__:shopspecific.tocsin-bell.gw-1!"] == .bell)
        #expect(routes["__keyspace@5__:shopspecific.gw-1!"] == .connections)
        #expect(routes["shop__group__!outgoing"] == .outgoing)
        #expect(routes["shop__control"] == .control)
        #expect(routes["shop__presence__news"] == .presence(try GroupName("news")))
        #expect(routes["__keyspace@5__:shopspecific.tocsin-00!"] == .inbox(0))
        #expect(routes["__keyspace@5__:shopspecific.tocsin-0f!"] == .inbox(15))
    }

    @Test(arguments: [
        "", "shop__group__news", "asgi__control", "shop__probe__gw-1.00fe", "shop__probe__gw-2.00ff",
        "shop__presence__", "shop__presence__not a group", "__keyspace@3__:shopspecific.tocsin-00!",
        "__keyspace@5__:shopspecific.tocsin-10!", "__keyspace@5__:shopspecific.tocsin-bell.gw-2!",
    ])
    func `Other gateways' channels, and other deployments', are unknown`(channel: String) {
        #expect(routes[channel] == .unknown)
    }

    @Test func `A gateway subscribes to all of them but presence, which comes with a group`() {
        #expect(routes.permanent.count == 21)
        #expect(routes.permanent.allSatisfy { routes[$0] != .unknown })
    }
}
