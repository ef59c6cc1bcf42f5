import Gateway
import Foundation
import NIOCore
import NIOPosix
import RedisClient

/// The processes of `tocsin dev`: a redis-server and some gateways, started and stopped together.
actor DevHouse {
    private let directory: URL
    private let ports: DevPorts
    private let configFile: String?
    private var processes: [(name: String, process: Process)] = []

    /// - Throws: `CommandFailure` when no directory can be created.
    init(_ ports: DevPorts, configFile: String?) throws {
        self.ports = ports
        self.configFile = configFile
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("tocsin-dev-\(UUID().uuidString)")
        do {
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        } catch {
            throw CommandFailure("cannot make \(directory.path): \(error.localizedDescription)")
        }
    }

    private var redisURL: String { "redis://127.0.0.1:\(ports.redis)/3" }

    /// - Returns: a text for the user with the addresses of all parts.
    /// - Throws: `CommandFailure`; `CancellationError` when the task was cancelled meanwhile.
    func start() async throws -> String {
        let file = try configurationFile()
        // Report errors in the file here, once, instead of from each gateway.
        var configuration = try Configuration(file: file)
        configuration.redis.hosts = [try RedisHost(redisURL)]
        try await checkPorts()
        try await startRedis()
        for (index, port) in ports.gateways.enumerated() {
            try run(
                "gateway \(port)", URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath(),
                [
                    "gateway", "--config", file, "--bind", "127.0.0.1:\(port)",
                    "--admin", "127.0.0.1:\(ports.admin(port))", "--redis", redisURL, "--id", "dev-\(index + 1)",
                ])
        }
        for port in ports.gateways { try await waitForPort(port, name: "gateway \(port)") }
        return try welcome(configuration)
    }

    private func checkPorts() async throws {
        let taken = await ports.taken(Self.isFree)
        guard !taken.isEmpty else { return }
        throw await DevPorts.failure(
            taken.map { ($0.port, $0.use, PortHolder.of($0.port)) }, others: ports.others(Self.isFree))
    }

    private func startRedis() async throws {
        guard let binary = Self.find("redis-server") else {
            throw CommandFailure("there is no redis-server on the PATH; install it: apt-get install redis-server")
        }
        try run(
            "redis-server", binary,
            [
                "--port", String(ports.redis), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                "--dir", directory.path, "--notify-keyspace-events", "Kzl", "--logfile", "redis.log",
            ])
        try await waitForPort(ports.redis, name: "redis-server")
    }

    private func configurationFile() throws -> String {
        if let configFile {
            // The user's path: gateways resolve it relative to the same directory.
            return configFile
        }
        let file = directory.appendingPathComponent("tocsin.yaml")
        try """
        gateway: { allowed_hosts: ["*"], demo_page: true, drain_seconds: 1 }
        routes:
          - { path: "/ws/{room}", groups: ["{room}"], receive: group_send }
        """.write(to: file, atomically: true, encoding: .utf8)
        return file.path
    }

    private func welcome(_ configuration: Configuration) throws -> String {
        let secure = configuration.gateway.tls == nil ? "" : "s"
        let page = configuration.gateway.demoPage ? "\n  Page       http\(secure)://127.0.0.1:\(ports.first)/" : ""
        let sockets = ports.gateways.map { "ws\(secure)://127.0.0.1:\($0)/ws/demo" }
        let metrics = ports.gateways.map { "http://127.0.0.1:\(ports.admin($0))/metrics" }
        return """
            tocsin dev is running.
            \(page)
              WebSocket  \(sockets.joined(separator: "\n             "))
              Metrics    \(metrics.joined(separator: "\n             "))
              Redis      \(redisURL)

            Send a notification (the last word of the WebSocket's address is the group):

              \(try configuration.demoCommand)demo '{"type":"receive","text":"Hello"}'

            Ctrl-C ends everything.
            """
    }

    /// Waits until one of the processes ends, and returns its name; nil: the task was cancelled.
    func waitForAnEnd() async -> String? {
        while (try? await Task.sleep(for: .milliseconds(500))) != nil {
            if let ended = processes.first(where: { !$0.process.isRunning }) { return ended.name }
        }
        return nil
    }

    /// Stops the gateways first, so that they can close their connections, then Redis.
    func stop() async {
        let (redis, gateways) = (
            processes.filter { $0.name == "redis-server" }, processes.filter { $0.name != "redis-server" }
        )
        for processes in [gateways, redis].map({ $0.map(\.process) }) {
            for process in processes where process.isRunning { process.terminate() }
            for _ in 0..<100 where processes.contains(where: \.isRunning) {
                try? await Task.sleep(for: .milliseconds(50))
            }
            for process in processes where process.isRunning { kill(process.processIdentifier, SIGKILL) }
        }
        try? FileManager.default.removeItem(at: directory)
    }

    // MARK: Processes

    private func run(_ name: String, _ binary: URL, _ arguments: [String]) throws {
        let process = Process()
        process.executableURL = binary
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        // Threads of Swift's pool block signals, and a child would inherit that: SIGTERM could not end it.
        var none = sigset_t(), before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        do { try process.run() } catch { throw CommandFailure("cannot start \(name): \(error.localizedDescription)") }
        processes.append((name, process))
    }

    private func waitForPort(_ port: Int, name: String) async throws {
        for _ in 0..<200 {
            if let (_, process) = processes.last(where: { $0.name == name }), !process.isRunning {
                let holder = PortHolder.of(port).map { "; port \(port) is taken by \($0)" } ?? ""
                throw CommandFailure("\(name) ended at once\(holder)")
            }
            let connected = try? await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(host: "127.0.0.1", port: port).get()
            if let connected {
                try? await connected.close().get()
                return
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw CommandFailure("\(name) does not answer on port \(port)")
    }

    /// Binds as the servers will: lingering connections of an earlier server do not count.
    private static let isFree: @Sendable (Int) async -> Bool = { port in
        let channel = try? await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .bind(host: "127.0.0.1", port: port).get()
        try? await channel?.close().get()
        return channel != nil
    }

    private static func find(_ program: String) -> URL? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return (path.split(separator: ":") + ["/usr/sbin", "/usr/local/bin"])
            .map { URL(fileURLWithPath: String($0)).appendingPathComponent(program) }
            .first { FileManager.default.isExecutableFile(atPath: $0.path) }
    }
}
