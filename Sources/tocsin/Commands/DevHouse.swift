import Foundation
import NIOCore
import NIOPosix
import RedisClient

/// The processes of `tocsin dev`: a redis-server and some gateways, started together and ended together.
final class DevHouse {
    private let directory: URL
    private let gateways: Int
    private let firstPort: Int
    private let configFile: String?
    private var redisPort = 0
    private var processes: [(name: String, process: Process)] = []

    /// - Throws: `CommandFailure` when no directory can be made.
    init(gateways: Int, firstPort: Int, configFile: String?) throws {
        self.gateways = gateways
        self.firstPort = firstPort
        self.configFile = configFile
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("tocsin-dev-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    private var redisURL: String { "redis://127.0.0.1:\(redisPort)/3" }

    func start() async throws {
        try await startRedis()
        let file = try writeConfiguration()
        for index in 0..<gateways {
            let port = firstPort + index
            try run(
                "gateway \(port)", URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath(),
                [
                    "gateway", "--config", file, "--bind", "127.0.0.1:\(port)", "--admin", "127.0.0.1:\(port + 1000)",
                    "--redis", redisURL, "--id", "dev-\(index + 1)",
                ])
        }
        for index in 0..<gateways { try await waitForPort(firstPort + index, name: "gateway \(firstPort + index)") }
    }

    private func startRedis() async throws {
        guard let binary = Self.find("redis-server") else {
            throw CommandFailure("there is no redis-server on the PATH; install it: apt-get install redis-server")
        }
        redisPort = try await Self.freePort(preferred: Self.preferredRedisPort)
        try run(
            "redis-server", binary,
            [
                "--port", String(redisPort), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                "--dir", directory.path, "--notify-keyspace-events", "Kzl", "--logfile", "redis.log",
            ])
        try await waitForPort(redisPort, name: "redis-server")
    }

    private func writeConfiguration() throws -> String {
        if let configFile {
            // A path of the person's own: the gateways resolve it as the person meant it.
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

    var welcome: String {
        let ports = (0..<gateways).map { firstPort + $0 }
        return """
            tocsin dev is running.

              Page       http://127.0.0.1:\(firstPort)/?redis=\(redisPort)
              WebSocket  \(ports.map { "ws://127.0.0.1:\($0)/ws/demo" }.joined(separator: "\n             "))
              Metrics    \(ports.map { "http://127.0.0.1:\($0 + 1000)/metrics" }.joined(separator: "\n             "))
              Redis      \(redisURL)

            Send a notification (the last word of the WebSocket's address is the group):

              redis-cli -p \(redisPort) -n 3 FCALL group_send 1 asgi:group:demo '{"type":"receive","text":"Hello"}'

            Ctrl-C ends everything.
            """
    }

    /// Ctrl-C, or the end of one of the processes. Returns what to tell the person.
    func waitForEnd() async -> String {
        let processes = processes.map { (name: $0.name, pid: $0.process.processIdentifier) }
        return await withTaskGroup(of: String.self) { group in
            group.addTask {
                await Signals.waitForEnd()
                return "stopping"
            }
            group.addTask {
                while !Task.isCancelled {
                    for (name, pid) in processes where kill(pid, 0) != 0 {
                        return "\(name) has ended; stopping the rest"
                    }
                    try? await Task.sleep(for: .milliseconds(500))
                }
                return ""
            }
            let first = await group.next() ?? ""
            group.cancelAll()
            return first
        }
    }

    /// Gateways first, so that they can say goodbye, then Redis.
    func stop() async {
        for (_, process) in processes.reversed() {
            if process.isRunning { process.terminate() }
            for _ in 0..<100 where process.isRunning { try? await Task.sleep(for: .milliseconds(50)) }
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
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
                throw CommandFailure("\(name) ended at once (is port \(port) taken?)")
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

    /// A port that can be written into a README; another one when it is taken.
    private static let preferredRedisPort = 6390

    private static func freePort(preferred: Int) async throws -> Int {
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        var channel = try? await bootstrap.bind(host: "127.0.0.1", port: preferred).get()
        if channel == nil { channel = try await bootstrap.bind(host: "127.0.0.1", port: 0).get() }
        let port = channel?.localAddress?.port ?? 0
        try await channel?.close().get()
        return port
    }

    private static func find(_ program: String) -> URL? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return (path.split(separator: ":") + ["/usr/sbin", "/usr/local/bin"])
            .map { URL(fileURLWithPath: String($0)).appendingPathComponent(program) }
            .first { FileManager.default.isExecutableFile(atPath: $0.path) }
    }
}
