import Broker

/// channels_redis' ring: which of several Redis servers has a name.
///
/// Source: channels_redis 4.3, `utils._consistent_hash`. Not consistent in the usual sense: with another server most names move.
public struct ShardRing: Sendable, Equatable {
    /// Number of servers.
    public let count: Int

    public init(count: Int) {
        precondition(count >= 1)
        self.count = count
    }

    /// - Parameter name: a group's name, or a channel's name up to its `!`, both without prefix.
    public func index(of name: String) -> Int {
        guard count > 1 else { return 0 }
        return Int(Double(CRC32.of(name.utf8) & 0xFFF) / (4096 / Double(count)))
    }
}

/// One server of a ring.
public struct ShardPlace: Sendable, Equatable {
    /// 0 and up, in the order of `redis.hosts`.
    public let index: Int
    public let ring: ShardRing

    /// The only server.
    public static let only = ShardPlace(index: 0, of: 1)

    public init(index: Int, of count: Int) {
        precondition((0..<count).contains(index))
        self.index = index
        ring = ShardRing(count: count)
    }

    /// A name for a process whose inbox is to be on this server: `stem`, with several servers followed by a number.
    ///
    /// - Parameter stem: `specific.` and what makes it unique.
    public func processName(_ stem: String) -> String {
        guard ring.count > 1 else { return stem }
        var number = 0
        while ring.index(of: "\(stem).\(number)!") != index { number += 1 }
        return "\(stem).\(number)"
    }

    /// The channel of the fleet for an inbox of this server.
    ///
    /// Django's layer writes to the server that the ring chooses for the channel's name. With several servers the name therefore
    /// has a number, the smallest with which that is this server. `redis/tocsin.lua` does the same.
    func fleetChannel(_ inbox: Int) -> String {
        "\(processName("specific.tocsin-\(inbox.hex(count: 2))"))!"
    }
}
