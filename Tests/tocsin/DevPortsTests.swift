import ArgumentParser
import Testing

@testable import tocsin

/// The ports of `tocsin dev`, and the error when some are taken.
struct DevPortsTests {
    @Test func `All ports follow from the first one`() throws {
        let standard = try DevPorts(first: 8001, count: 2, redis: nil)
        #expect(standard.all.map(\.port) == [8001, 8002, 9001, 9002, 6390])
        #expect(standard.options == ("", ""))
        let other = try DevPorts(first: 8101, count: 3, redis: nil)
        #expect(other.all.map(\.port) == [8101, 8102, 8103, 9101, 9102, 9103, 6490])
        #expect(other.options == ("--port 8101", "PORT=8101"))
        #expect(try DevPorts(first: 8001, count: 1, redis: 7000).options == ("--redis-port 7000", "REDIS_PORT=7000"))
    }

    @Test(
        arguments: [
            (0, 1, nil), (64_536, 1, nil), (64_535, 2, nil), (1611, 1, nil), (8001, 0, nil), (8001, 65, nil),
            (8001, 2, 0), (8001, 2, 65_536), (8001, 2, 8002), (8001, 2, 9001),
        ] as [(Int, Int, Int?)])
    func `Ports that are none, or the same, are refused`(first: Int, count: Int, redis: Int?) {
        #expect(throws: ValidationError.self) { try DevPorts(first: first, count: count, redis: redis) }
    }

    @Test(
        arguments: [
            (nil, [8002], (8101, 6490)), (nil, [9001], (8101, 6490)), (nil, [6390], (8001, 6490)),
            (nil, [8001, 9102], (8201, 6590)), (nil, [8001, 6490], (8201, 6590)), (7000, [8001], (8101, 7000)),
            (7000, [7000], (8001, 7100)), (7000, [8001, 7000], (8101, 7100)),
        ] as [(Int?, Set<Int>, (Int, Int))])
    func `What is told to be free is free, and moves no more than it must`(
        redis: Int?, taken: Set<Int>, expected: (Int, Int)
    ) async throws {
        let ports = try DevPorts(first: 8001, count: 2, redis: redis)
        let others = try #require(await ports.others { !taken.contains($0) })
        #expect((others.first, others.redis) == expected)
        #expect(others.count == 2)
    }

    @Test func `Where nothing is free nothing is suggested`() async throws {
        let ports = try DevPorts(first: 8001, count: 2, redis: nil)
        #expect(await ports.others { _ in false } == nil)
        let holder = PortHolder(identity: .init(name: "nginx", process: 7))
        let failure = DevPorts.failure([(8001, "gateway", holder), (6390, "Redis", nil)], others: nil)
        #expect(
            failure.description == """
                2 ports are taken:
                  8001 (gateway): nginx (process 7)
                  6390 (Redis): somebody
                End who has them, or take others with --port and --redis-port
                """)
    }
}

struct PortHolderTests {
    private let table = """
          sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
           0: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31415 1 0000000000000000 100 0 0 10 0
           1: 0100007F:1F41 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 92653 1 0000000000000000 20 4 30 10 -1
           2: 00000000:18F6 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 58979 1 0000000000000000 100 0 0 10 0
        """
    private let table6 = """
          sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
           0: 00000000000000000000000001000000:1F41 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 32384 1 0000000000000000 100 0 0 10 0
        """

    @Test func `Only sockets that listen on the port are found in the kernel's table`() {
        #expect(PortHolder.listeners(on: 8001, in: table) == ["31415"])
        #expect(PortHolder.listeners(on: 6390, in: table) == ["58979"])
        #expect(PortHolder.listeners(on: 8001, in: table6) == ["32384"])
        #expect(PortHolder.listeners(on: 40000, in: table).isEmpty)
        #expect(PortHolder.listeners(on: 8001, in: "").isEmpty)
        #expect(PortHolder.listeners(on: 8001, in: "head\n0: nonsense\n1: 0100007F:1F41 x 0A").isEmpty)
    }

    @Test func `Who has it is said as far as it is known`() {
        let gateway = PortHolder.Identity(name: "tocsin", process: 12)
        #expect("\(PortHolder(identity: gateway))" == "tocsin (process 12)")
        #expect(
            "\(PortHolder(identity: gateway, starter: .init(name: "tocsin", process: 9)))"
                == "tocsin (process 12), started by tocsin (process 9)")
        #expect("\(PortHolder())" == "a process of another user")
    }
}
