import ArgumentParser
import Broker
import ChannelLayer
import NIOCore
import NIOPosix

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure a running gateway: connect clients, publish to their group, count what arrives.",
        discussion: """
            For example, with `tocsin dev` running:
              tocsin bench ws://127.0.0.1:8001/ws/bench --redis redis://127.0.0.1:6390/3
              tocsin bench ws://127.0.0.1:8001/ws/bench --redis redis://127.0.0.1:6390/3 --clients 5000 --rate 10

            The clients connect to one address and must all join one group: --group says which; without it, the last \
            part of the path. Messages go to that group through Redis, the same that the gateway uses, by PUBLISH or \
            with --history by FCALL group_send. The address may be a load balancer's; many gateways count as one.

            Latency is from when a message was due until a client has read it. It includes Redis and this command's \
            own work: where this command and the gateway share a machine, both share its cores.

            Exit code: 0 when every message reached every client once, 1 otherwise. The group must be nobody else's: \
            whoever is in it gets the messages ("type":"bench") too.
            """)

    @Argument(help: ArgumentHelp("Where to connect: ws:// or wss://, host, port and a route's path.", valueName: "url"))
    var url: String

    @Option(name: .long, help: "How many WebSocket clients.")
    var clients = 1000

    @Option(name: .long, help: "Messages per second.")
    var rate = 50.0

    @Option(name: .long, help: "How long to publish.")
    var seconds = 10.0

    @Option(name: .long, help: "Size of a message.")
    var bytes = 128

    @Option(name: .long, help: "The group that the clients are in. Default: the last part of the path.")
    var group: String?

    @Flag(name: .long, help: "Publish by FCALL group_send, which logs each message, instead of PUBLISH.")
    var history = false

    @Option(name: .long, help: "The clients' Origin. Default: the address' own.")
    var origin: String?

    @Option(
        name: .long, help: ArgumentHelp("A further header of the handshake; may be repeated.", valueName: "name: value")
    )
    var header: [String] = []

    @OptionGroup var output: OutputOptions
    @OptionGroup var options: ConfigurationOptions

    func validate() throws {
        guard clients >= 1 else { throw ValidationError("--clients wants 1 or more") }
        guard rate > 0, seconds > 0 else { throw ValidationError("--rate and --seconds want more than 0") }
        for line in header where !line.contains(":") || line.contains(where: \.isNewline) {
            throw ValidationError("--header wants \"Name: value\"")
        }
    }

    func run() async throws {
        var target = try BenchTarget(url)
        target.headers = header
        if let origin { target.origin = origin }
        guard let wanted = group ?? target.lastSegment else {
            throw CommandFailure("the path does not tell the group: name it with --group")
        }
        let message = try BenchMessage(run: .random(in: 0...UInt64.max), size: bytes)
        let name = try groupName(wanted)
        FileLimit.raise()
        guard FileLimit.current.soft >= UInt(clients) + 50 else {
            throw CommandFailure(
                "only \(FileLimit.current.soft) files may be open here: raise ulimit -n, or lower --clients")
        }
        let report = try await CommandSession.run(options, about: name) { [target] session in
            let publisher = BenchPublisher(
                client: session.clients[name],
                keys: session.configuration.keys(shard: session.configuration.redis.router[name]), group: name,
                message: message,
                isLogged: history)
            let fleet = try await BenchFleet(target, message, on: .singleton)
            let report = try await measure(fleet, publisher, name)
            try await fleet.close()
            return report
        }
        print(output.json ? report.json : report.text)
        if !report.isComplete { throw ExitCode(1) }
    }

    private func measure(_ fleet: BenchFleet, _ publisher: BenchPublisher, _ name: GroupName) async throws
        -> BenchReport
    {
        let began = NIODeadline.now()
        try await fleet.connect(clients) { note("\($0) of \(clients) clients connected") }
        let connectSeconds = elapsed(since: began)
        note("\(clients) clients connected in \(tenths(connectSeconds)) s")
        try await greet(fleet, publisher, name)

        let count = max(1, Int(rate * seconds))
        note("publishing \(count) messages to \(name) in \(tenths(Double(count) / rate)) s")
        let start = NIODeadline.now()
        let outcome = try await publisher.publish(count, rate: rate) { published in
            let delivered = try await fleet.counts().delivered
            note("\(published) of \(count) published, \(delivered) delivered")
        }
        let expected = outcome.sent * clients
        let counts = try await fleet.counts(within: .seconds(10)) { $0.delivered >= expected }
        return BenchReport(
            url: url, group: name.text, clients: clients, connectSeconds: connectSeconds,
            seconds: elapsed(since: start),
            outcome: outcome, counts: counts)
    }

    /// Sends one message before the rest, to fail early with an explanation if nobody receives it.
    private func greet(_ fleet: BenchFleet, _ publisher: BenchPublisher, _ name: GroupName) async throws {
        let listening = try await publisher.greet()
        guard listening > 0 else {
            throw CommandFailure(
                "no gateway listens to the group \(name) in this Redis. Is it the gateway's Redis (--redis), is \(name)"
                    + " what the route's groups make of the path (--group), and is the route's protocol plain?")
        }
        let counts = try await fleet.counts(within: .seconds(5)) { $0.greeted == clients }
        guard counts.greeted == clients else {
            throw CommandFailure(
                "\(counts.greeted) of \(clients) clients got the first message to \(name) within 5 s; \(counts.closed) were"
                    + " closed. Are they all in that group (--group)?")
        }
    }

    private func elapsed(since start: NIODeadline) -> Double { Double((.now() - start).nanoseconds) / 1e9 }

    private func tenths(_ seconds: Double) -> String { "\((seconds * 10).rounded() / 10)" }
}
