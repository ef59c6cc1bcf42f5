import ArgumentParser

/// The ports of `tocsin dev`. Fixed before anything starts, so that a README can name them, and so that a second instance can
/// report which are taken.
struct DevPorts {
    let first: Int
    let count: Int
    let redis: Int
    /// Whether `redis` was given explicitly; otherwise it moves along with `first`.
    let isRedisChosen: Bool

    static let standardFirst = 8001
    static let standardRedis = 6390
    /// Distance from a gateway's port to its admin port.
    static let adminDistance = 1000

    /// - Throws: `ValidationError` when one of them is not a valid port, or two are equal.
    init(first: Int, count: Int, redis: Int?) throws {
        self.first = first
        self.count = count
        self.redis = redis ?? first - Self.standardFirst + Self.standardRedis
        isRedisChosen = redis != nil
        guard (1...64).contains(count) else { throw ValidationError("--gateways wants 1 to 64.") }
        let highest = 65_536 - Self.adminDistance - count
        guard (1...highest).contains(first) else {
            throw ValidationError(
                "--port wants 1 to \(highest): each gateway's admin port is \(Self.adminDistance) above it.")
        }
        guard (1...65_535).contains(self.redis) else {
            throw ValidationError(
                redis == nil
                    ? "--port \(first) leaves no port for Redis: give --redis-port too."
                    : "--redis-port wants 1 to 65535.")
        }
        guard !gateways.contains(self.redis), !gateways.contains(self.redis - Self.adminDistance) else {
            throw ValidationError("--redis-port \(self.redis) is a gateway's port, or its admin port.")
        }
    }

    var gateways: Range<Int> { first..<first + count }
    func admin(_ gateway: Int) -> Int { gateway + Self.adminDistance }

    /// All ports with their purposes.
    var all: [(port: Int, use: String)] {
        gateways.map { ($0, "gateway") } + gateways.map { (admin($0), "admin port of gateway \($0)") } + [
            (redis, "Redis")
        ]
    }

    func taken(_ isFree: (Int) async -> Bool) async -> [(port: Int, use: String)] {
        var taken: [(port: Int, use: String)] = []
        for each in all where !(await isFree(each.port)) { taken.append(each) }
        return taken
    }

    /// Nearby ports that are all free: the taken ones moved up by a multiple of one hundred. nil: none found.
    func others(_ isFree: (Int) async -> Bool) async -> DevPorts? {
        let taken = await taken(isFree).map(\.port)
        for distance in stride(from: 100, through: 5000, by: 100) {
            let ports: DevPorts?
            if taken == [redis] {
                ports = try? DevPorts(first: first, count: count, redis: redis + distance)
            } else {
                let chosen = taken.contains(redis) ? redis + distance : redis
                ports = try? DevPorts(first: first + distance, count: count, redis: isRedisChosen ? chosen : nil)
            }
            if let ports, await ports.taken(isFree).isEmpty { return ports }
        }
        return nil
    }

    /// The options of `tocsin dev` and `make run` that select these ports.
    var options: (command: String, make: String) {
        var command: [String] = [], make: [String] = []
        if first != Self.standardFirst {
            command.append("--port \(first)")
            make.append("PORT=\(first)")
        }
        if isRedisChosen {
            command.append("--redis-port \(redis)")
            make.append("REDIS_PORT=\(redis)")
        }
        return (command.joined(separator: " "), make.joined(separator: " "))
    }

    /// The error for taken ports: which ones, who has them, and what to do.
    static func failure(_ taken: [(port: Int, use: String, holder: PortHolder?)], others: DevPorts?) -> CommandFailure {
        let lines = taken.map { each in "  \(each.port) (\(each.use)): \(each.holder.map { "\($0)" } ?? "somebody")" }
        let remedy =
            others.map { ", or take others: tocsin dev \($0.options.command), or make run \($0.options.make)" }
            ?? ", or take others with --port and --redis-port"
        let head = taken.count == 1 ? "a port is taken" : "\(taken.count) ports are taken"
        return CommandFailure("\(head):\n\(lines.joined(separator: "\n"))\nEnd who has them\(remedy)")
    }
}
