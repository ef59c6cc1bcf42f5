import Broker
import Foundation
import NIOCore
import Testing

@testable import ChannelLayer

/// channels_redis' ring, and where the fleet's channels lie on it.
struct ShardRingTests {
    /// Made by channels_redis 4.3, `_consistent_hash`.
    @Test(arguments: [
        ("42isInsufficient", [1: 0, 2: 1, 3: 2, 4: 2, 5: 3, 7: 5, 16: 11, 100: 72]),
        ("43isInsufficient", [1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 7: 0, 16: 0, 100: 1]),
        ("g", [1: 0, 2: 1, 3: 2, 4: 2]),
    ])
    func `A name is where channels_redis has it`(name: String, indices: [Int: Int]) {
        for (count, index) in indices { #expect(ShardRing(count: count).index(of: name) == index, "\(count)") }
    }

    @Test func `The checksum is zlib's`() {
        #expect(CRC32.of("123456789".utf8) == 0xCBF4_3926)
        #expect(CRC32.of([]) == 0)
        #expect(CRC32.of("42isInsufficient".utf8) & 0xFFF == 2990)
    }

    @Test(arguments: [1, 2, 3, 5, 16, 64])
    func `The fleet's channels lie on the server that they are for`(count: Int) {
        let ring = ShardRing(count: count)
        for shard in 0..<count {
            let place = ShardPlace(index: shard, of: count)
            for inbox in 0..<LayerKeys.inboxCount {
                let name = place.fleetChannel(inbox)
                #expect(ring.index(of: name) == shard)
                #expect(name.contains(".tocsin-") && name.hasSuffix("!"))
                #expect(name.dropFirst("specific.tocsin-xx".count) == "!" || count > 1)
            }
        }
    }

    @Test func `A router asks the ring for groups, and for a consumer's channel up to its mark`() throws {
        let router = ShardRouter(["a", "b"])
        #expect(router[try GroupName("42isInsufficient")] == "b")
        #expect(router[try GroupName("43isInsufficient")] == "a")
        for name in ["specific.gw-1!0123456789abcdef", "specific.gw-2!x", "worker"] {
            let read = String(name.prefix { $0 != "!" }) + (name.contains("!") ? "!" : "")
            #expect(router[try ChannelName(name)] == ["a", "b"][ShardRing(count: 2).index(of: read)])
        }
        #expect(ShardRouter([7])[try GroupName("any")] == 7)
        #expect(router.map { $0 + $0 }.shards == ["aa", "bb"])
    }

    @Test func `Of several servers each is told which one it is, a single one nothing`() {
        let settings = LayerSettings()
        #expect(settings.layerTerms(isEncrypted: false) == nil)
        #expect(
            settings.layerTerms(isEncrypted: false, shard: ShardPlace(index: 1, of: 3)).map { String(buffer: $0) }
                == #"{"shard":1,"shards":3}"#)
    }

    @Test func `A gateway is ready while more than half of its servers serve, and names those that do not`() {
        var readiness = ShardReadiness(names: ["a", "b", "c"])
        #expect(readiness.set([], of: 0).reasons.count == 2)
        #expect(readiness.set([], of: 1) == .init(remarks: ["c: Redis is not reachable"]))
        #expect(readiness.set([], of: 2) == .init())
        #expect(readiness.set(["OOM", "gone"], of: 0) == .init(remarks: ["a: OOM, gone"]))
        #expect(readiness.set(["gone"], of: 1) == .init(reasons: ["a: OOM, gone", "b: gone"]))
        var two = ShardReadiness(names: ["a", "b"])
        _ = two.set([], of: 0)
        #expect(two.set([], of: 1) == .init())
        #expect(two.set(["gone"], of: 1) == .init(reasons: ["b: gone"]))
        var one = ShardReadiness(names: ["a"])
        #expect(one.set(["gone"], of: 0) == .init(reasons: ["gone"]))
        #expect(one.set([], of: 0) == .init())
    }
}
