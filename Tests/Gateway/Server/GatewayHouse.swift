import AsyncHTTPClient
import Broker
import Logging
import NIOCore
import NIOPosix
import Sockets
import Synchronization
import TestSupport
import Testing

@testable import Gateway

/// A gateway's client port in this process, on a free port, with a backplane in memory.
final class GatewayHouse: Sendable {
    let server: GatewayServer
    let backplane: FakeBackplane
    let metrics: Metrics
    let port: Int

    private let loops: [SocketLoop]

    private init(
        _ server: GatewayServer, _ backplane: FakeBackplane, _ metrics: Metrics, _ loops: [SocketLoop]
    ) {
        self.server = server
        self.loops = loops
        port = server.port
        self.backplane = backplane
        self.metrics = metrics
    }

    static func run<R>(
        _ routes: [Route]? = nil, hosts: [String] = ["*"],
        authenticators: (HTTPClient) -> [String: any Authenticator] = { _ in [:] },
        change: (inout GatewayConfiguration) -> Void = { _ in }, isolation: isolated (any Actor)? = #isolation,
        _ body: (GatewayHouse) async throws -> R
    ) async throws -> R {
        let routes = try routes ?? [route("/ws/{room}", ["{room}"]), route("/echo/{room}", ["{room}"], receive: .echo)]
        var configuration = GatewayConfiguration(
            host: "127.0.0.1", port: 0, allowedHosts: AllowedHosts(hosts), routes: routes)
        // Delays on a busy machine must not look like dead peers.
        configuration.handshakeSeconds = 30
        configuration.pingSeconds = 60
        configuration.pongSeconds = 30
        change(&configuration)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let backplane = FakeBackplane(), metrics = Metrics()
        var settings = HTTPClient.Configuration()
        settings.connectionPool.retryConnectionEstablishment = false
        settings.redirectConfiguration = .disallow
        let http = HTTPClient(eventLoopGroupProvider: .shared(group), configuration: settings)
        let result: Result<R, any Error>
        do {
            let loops = [SocketLoop(name: "one"), SocketLoop(name: "two")]
            defer { for loop in loops { loop.stop() } }
            let server = try await GatewayServer.start(
                configuration, authenticators: authenticators(http), backplane: backplane,
                loops: loops, metrics: metrics,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            do {
                result = .success(try await body(GatewayHouse(server, backplane, metrics, loops)))
            } catch {
                result = .failure(error)
            }
            await server.stop()
        } catch {
            result = .failure(error)
        }
        try? await http.shutdown()
        try await group.shutdownGracefully()
        return try result.get()
    }

    static func route(
        _ path: String, _ groups: [String], auth: [String] = [], receive: ReceivePolicy = .ignore
    ) throws -> Route {
        try Route(
            path: PathTemplate(path), groups: groups.map { try GroupTemplate($0) }, authentication: auth,
            receive: receive)
    }

    /// Returns when every loop has run the tasks queued before.
    func settle() async throws { for loop in loops { try await loop.submit {}.get() } }

    /// Another second, for what the gateway counts in seconds; nobody waits for it.
    func pass() async throws {
        for (shard, loop) in zip(server.shards, server.loops) { try await loop.submit { shard.value.second() }.get() }
    }

    /// The value of a line of the metrics, by its name and labels as they are written.
    func metric(_ series: String) -> Int? {
        let line = metrics.prometheusText.split(separator: "\n").first { $0.hasPrefix(series + " ") }
        return line.flatMap { Int($0.dropFirst(series.count + 1)) }
    }

    func refusals(_ reason: String) -> Int? { metric("tocsin_handshakes_refused_total{reason=\"\(reason)\"}") }

    static func handshake(_ path: String, _ headers: [String] = []) -> String {
        let all = [
            "GET \(path) HTTP/1.1", "Host: example.com", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        return (all + headers + ["", ""]).joined(separator: "\r\n")
    }

    /// An open WebSocket.
    func connect(
        _ path: String, _ headers: [String] = [], reads: Bool = true, keepsOpen: Bool = false
    ) async throws -> Browser {
        let raw = try await RawClient.connect(port: port, reads: reads, keepsOpen: keepsOpen)
        try await raw.send(Self.handshake(path, headers))
        let browser = Browser(raw: raw)
        if reads {
            let answer = try await browser.head()
            try #require(answer.status == 101, "\(answer)")
        } else {
            try await waitUntil("a socket that is not read") { metric("tocsin_connections_opened_total")! > 0 }
        }
        return browser
    }

    /// The complete response to a request that is refused; the connection has ended.
    func answer(_ request: some Sequence<UInt8>) async throws -> HTTPText {
        let raw = try await RawClient.connect(port: port)
        // It may be refused before it has been sent completely.
        try? await raw.send(request)
        return try HTTPText(try await raw.rest())
    }

    func answer(_ request: String) async throws -> HTTPText { try await answer(request.utf8) }

    func status(_ path: String, _ headers: [String] = []) async throws -> Int {
        let raw = try await RawClient.connect(port: port)
        try await raw.send(Self.handshake(path, headers))
        let status = try await Browser(raw: raw).head().status
        await raw.close()
        return status
    }
}

/// A parsed HTTP response.
struct HTTPText: Sendable {
    var status: Int
    var headers: [String: String] = [:]
    var body = ""

    init(_ text: String) throws {
        let parts = text.replacing("\r\n", with: "\n").split(
            separator: "\n\n", maxSplits: 1, omittingEmptySubsequences: false)
        let lines = parts[0].split(separator: "\n")
        status = try #require(lines.first.flatMap { Int($0.split(separator: " ").dropFirst().first ?? "") }, "\(text)")
        for line in lines.dropFirst() {
            let pair = line.split(separator: ":", maxSplits: 1)
            headers[pair[0].lowercased()] = pair[1].trimmingPrefix(" ").description
        }
        if parts.count == 2 { body = String(parts[1]) }
    }
}
