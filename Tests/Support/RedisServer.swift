import Foundation

#if canImport(Glibc)
    import Glibc
#endif

/// A real redis-server for a test: on a free loopback port, with its own directory, removed afterwards.
///
/// ```swift
/// try await RedisServer.run { server in … server.port … }
/// ```
public actor RedisServer {
    /// A server's directory and port, known before it starts.
    public struct Place: Sendable {
        public let directory: String
        public let port: Int
        public var socket: String { "\(directory)/redis.sock" }
        public func file(_ name: String) -> String { "\(directory)/\(name)" }
    }

    public nonisolated let place: Place
    public nonisolated var port: Int { place.port }
    private let arguments: [String]
    private var process: ChildProcess?
    /// Ends the server when this process ends, in whatever way: the pipe to it is closed then.
    private var watchdog: (process: ChildProcess, pipe: Int32)?

    /// Starts a server, passes it to `body`, and ends it in any case.
    ///
    /// - Parameters:
    ///   - prepare: creates what the server needs in its directory.
    ///   - arguments: further arguments for its command line, which override others.
    public static func run<R>(
        prepare: (Place) async throws -> Void = { _ in }, arguments: (Place) -> [String] = { _ in [] },
        isolation: isolated (any Actor)? = #isolation, _ body: (RedisServer) async throws -> R
    ) async throws -> R {
        let server = try await started(prepare: prepare, arguments: arguments)
        let result: Result<R, any Error>
        do { result = .success(try await body(server)) } catch { result = .failure(error) }
        await server.end()
        return try result.get()
    }

    /// Tries another port if a different process takes the free one before the server does.
    private static func started(
        prepare: (Place) async throws -> Void, arguments: (Place) -> [String],
        isolation: isolated (any Actor)? = #isolation
    ) async throws -> RedisServer {
        for attempt in 1... {
            let directory = FileManager.default.temporaryDirectory.appendingPathComponent("tocsin-redis-\(UUID())").path
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            let place = Place(directory: directory, port: try freePort())
            try await prepare(place)
            let server = RedisServer(place, arguments: arguments(place))
            do {
                try await server.start()
                return server
            } catch {
                await server.end()
                if attempt == 5 { throw error }
            }
        }
        fatalError("unreachable: the last attempt returns or throws")
    }

    private init(_ place: Place, arguments: [String]) {
        self.place = place
        self.arguments = arguments
    }

    private var log: String { (try? String(contentsOfFile: place.file("redis.log"), encoding: .utf8)) ?? "" }

    /// Starts or restarts the server, and returns when it accepts connections.
    public func start() async throws {
        let startsBefore = log.components(separatedBy: "Ready to accept connections").count
        let process = try ChildProcess(
            [
                "redis-server", "--bind", "127.0.0.1", "--port", "\(port)", "--dir", place.directory, "--logfile",
                place.file("redis.log"), "--save", "", "--appendonly", "no",
            ] + arguments)
        self.process = process
        try watch(process)
        try await waitUntil("redis-server to start: \(log.suffix(2000))") {
            guard process.isRunning else { throw WaitedInVain(description: "redis-server ended: \(log.suffix(2000))") }
            return log.components(separatedBy: "Ready to accept connections").count > startsBefore
        }
    }

    private func watch(_ process: ChildProcess) throws {
        var ends: [Int32] = [0, 0]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw WaitedInVain(description: "no pipe") }
        defer { close(ends[0]) }
        let watchdog = try ChildProcess(["sh", "-c", "read line; kill -9 $0", "\(process.id)"], input: ends[0])
        self.watchdog = (watchdog, ends[1])
    }

    /// Ends the server as an administrator would; `start` restarts it on the same port, with its saved data.
    public func stop() async throws { try await end(with: SIGTERM) }

    /// Ends it as a power cut would.
    public func kill() async throws { try await end(with: SIGKILL) }

    private func end(with number: Int32) async throws {
        guard let process else { return }
        process.signal(number)
        try await waitUntil("redis-server to end") { !process.isRunning }
        process.wait()
        self.process = nil
        if let watchdog {
            watchdog.process.signal(SIGKILL)
            watchdog.process.wait()
            close(watchdog.pipe)
        }
        watchdog = nil
    }

    /// Stops it in the middle of its work (SIGSTOP): the sockets stay, but nothing is answered.
    public func freeze() { process?.signal(SIGSTOP) }
    public func thaw() { process?.signal(SIGCONT) }

    private func end() async {
        try? await kill()
        try? FileManager.default.removeItem(atPath: place.directory)
    }

    /// A loopback port that nobody listens on.
    public static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw WaitedInVain(description: "no socket") }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) == 0 && getsockname(descriptor, address, &length) == 0
            }
        }
        guard bound else { throw WaitedInVain(description: "no free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
