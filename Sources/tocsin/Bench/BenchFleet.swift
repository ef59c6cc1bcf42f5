import NIOCore
import NIOPosix
import NIOSSL

/// The clients of a bench, spread over the machine's event loops.
struct BenchFleet: Sendable {
    private let target: BenchTarget
    private let message: BenchMessage
    private let tallies: [NIOLoopBound<BenchTally>]
    private let tls: NIOSSLContext?

    /// Handshakes in progress at a time: enough to keep a gateway busy, too few to overflow its backlog.
    private static let window = 64

    init(_ target: BenchTarget, _ message: BenchMessage, on group: MultiThreadedEventLoopGroup) async throws {
        (self.target, self.message) = (target, message)
        var tallies: [NIOLoopBound<BenchTally>] = []
        for loop in group.makeIterator() {
            tallies.append(try await loop.submit { NIOLoopBound(BenchTally(), eventLoop: loop) }.get())
        }
        self.tallies = tallies
        tls = target.isTLS ? try NIOSSLContext(configuration: .makeClientConfiguration()) : nil
    }

    /// Connects clients. `progress` is called now and then with the number connected.
    ///
    /// - Throws: `CommandFailure` for the first client that is refused.
    func connect(_ clients: Int, progress: @Sendable (Int) -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for number in 0..<clients {
                if number >= Self.window { _ = try await tasks.next() }
                if number > 0, number % 1000 == 0 { progress(number) }
                tasks.addTask { try await open(tallies[number % tallies.count]) }
            }
            try await tasks.waitForAll()
        }
    }

    private func open(_ tally: NIOLoopBound<BenchTally>) async throws {
        let loop = tally.eventLoop
        let ready = loop.makePromise(of: Void.self)
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(.seconds(10))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { [target, message, tls] channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        let name = target.host.contains { $0.isLetter && $0 != ":" } ? target.host : nil
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: name))
                    }
                    let client = BenchClient(target, message, tally.value, ready: ready)
                    try channel.pipeline.syncOperations.addHandler(client)
                }
            }
        do {
            _ = try await bootstrap.connect(host: target.host, port: target.port).get()
        } catch {
            let failure = CommandFailure(
                "cannot connect to \(target.authority): is the gateway running there? (\(Self.reason(error)))")
            ready.fail(failure)
            throw failure
        }
        let deadline = loop.scheduleTask(in: .seconds(15)) {
            ready.fail(CommandFailure("\(target.authority) did not answer a handshake within 15 s"))
        }
        defer { deadline.cancel() }
        try await ready.futureResult.get()
    }

    /// The operating system's reason, without NIO's wrapping.
    private static func reason(_ error: any Error) -> String {
        guard let error = error as? NIOConnectionError else { return "\(error)" }
        return error.connectionErrors.first.map { "\($0.error)" } ?? "the host \(error.host) has no address"
    }

    /// The sum of all clients' current counts.
    func counts() async throws -> BenchCounts {
        var sum = BenchCounts()
        for tally in tallies { sum.add(try await tally.eventLoop.submit { tally.value.counts }.get()) }
        return sum
    }

    /// Polls the counts until `isDone` or the time is over; returns the last ones.
    func counts(within patience: TimeAmount, until isDone: (BenchCounts) -> Bool) async throws -> BenchCounts {
        let deadline = NIODeadline.now() + patience
        while true {
            let counts = try await counts()
            if isDone(counts) || NIODeadline.now() >= deadline { return counts }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    func close() async throws {
        for tally in tallies {
            try await tally.eventLoop.submit { for channel in tally.value.channels { channel.close(promise: nil) } }
                .get()
        }
    }
}
