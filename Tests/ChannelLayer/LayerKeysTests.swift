import Broker
import Testing

@testable import ChannelLayer

/// Names that Django, redis-cli and tocsin.lua use too: spelled out, so that no change goes unnoticed.
struct LayerKeysTests {
    private let group = try! GroupName("42isInsufficient")

    @Test func `With the default prefix the names are those of channels_redis and of the key schema`() {
        let keys = LayerKeys()
        #expect(keys.group(group) == "asgi:group:42isInsufficient")
        #expect(keys.liveChannel(group) == "asgi__group__42isInsufficient")
        #expect(keys.log(group) == "tocsin:log:42isInsufficient")
        #expect(keys.position(group) == "tocsin:pos:42isInsufficient")
        #expect(keys.roster(group) == "tocsin:roster:42isInsufficient")
        #expect(keys.rosterPattern == "tocsin:roster:*")
        #expect(keys.rosterGroup("tocsin:roster:a.b") == "a.b")
        #expect(keys.gateways == "tocsin:gateways")
        #expect(keys.gateway("gw-1") == "tocsin:gateway:gw-1")
        #expect(keys.fleetChannel(14) == "specific.tocsin-0e!")
        #expect(keys.inbox(0) == "asgispecific.tocsin-00!")
        #expect(keys.inbox(15) == "asgispecific.tocsin-0f!")
        #expect(keys.staging(14) == "tocsin:staging:0e")
        #expect(keys.doorbell(14) == "__keyspace@3__:asgispecific.tocsin-0e!")
        #expect(
            keys.channelName(gateway: "gw-1", connection: ConnectionID(value: 255)) == "specific.gw-1!00000000000000ff")
    }

    @Test func `Another prefix is in every name, and our own keys do not start with it`() {
        let keys = LayerKeys(prefix: "site.2", database: 7)
        #expect(keys.group(group) == "site.2:group:42isInsufficient")
        #expect(keys.liveChannel(group) == "site.2__group__42isInsufficient")
        #expect(keys.inbox(3) == "site.2specific.tocsin-03!")
        #expect(keys.doorbell(3) == "__keyspace@7__:site.2specific.tocsin-03!")
        let own = [
            keys.log(group), keys.position(group), keys.roster(group), keys.rosterPattern, keys.gateways,
            keys.gateway("g"),
            keys.staging(0),
        ]
        #expect(own.allSatisfy { $0.hasPrefix("tocsin:site.2:") })
        #expect(keys.rosterGroup(keys.roster(group)) == "42isInsufficient")
    }

    @Test func `There are 16 inboxes, each with its own names`() {
        let keys = LayerKeys()
        #expect(LayerKeys.inboxCount == 16)
        for name in [keys.inbox, keys.staging, keys.doorbell, keys.fleetChannel] {
            #expect(Set((0..<16).map(name)).count == 16)
        }
    }
}
