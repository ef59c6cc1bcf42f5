public import Broker
public import NIOCore
import NIOHTTP1
public import NIOPosix

/// The admin port: health, readiness, metrics and the HTTP API, separate from the client port.
public final class AdminServer: Sendable {
    private let listener: any Channel

    /// - Throws: when the address cannot be bound; the error names it.
    public static func start(
        host: String, port: Int, access: AdminAccess, readiness: Readiness, metrics: Metrics,
        administration: any Administration, on group: MultiThreadedEventLoopGroup
    ) async throws -> AdminServer {
        var endpoints =
            standardEndpoints(readiness: readiness, metrics: metrics) + GroupEndpoints.all(administration)
            + ChannelEndpoints.all(administration) + UserEndpoints.all(administration)
            + InboxEndpoints.all(administration) + PushEndpoints.all(administration)
            + ScheduleEndpoints.all(administration) + EscalationEndpoints.all(administration)
            + GatewayEndpoints.all(administration)
        endpoints.append(OpenAPI.endpoint(endpoints))
        let table = endpoints
        do {
            let listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 128)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                        try channel.pipeline.syncOperations.addHandlers(
                            IdleStateHandler(readTimeout: .seconds(60)), AdminHandler(table, access))
                    }
                }
                .bind(host: host, port: port).get()
            return AdminServer(listener)
        } catch {
            let address = HostAndPort(host: host, port: port)
            throw AdminError(description: "cannot listen on \(address) (gateway.admin): \(error)")
        }
    }

    private init(_ listener: any Channel) { self.listener = listener }

    public var address: SocketAddress? { listener.localAddress }

    public func stop() async { try? await listener.close().get() }

    static func standardEndpoints(readiness: Readiness, metrics: Metrics) -> [AdminEndpoint] {
        [
            AdminEndpoint(
                .GET, "/healthz", "200 while the process lives", .health, .now { _ in AdminAnswer(.ok, "ok\n") }),
            AdminEndpoint(
                .GET, "/readyz", "200 while it can deliver and accept, 503 with the reasons otherwise", .health,
                .now { _ in
                    let reasons = readiness.reasons, remarks = readiness.remarks
                    return reasons.isEmpty
                        ? AdminAnswer(
                            .ok, remarks.isEmpty ? "ready\n" : "ready, but \(remarks.joined(separator: "; "))\n")
                        : AdminAnswer(.serviceUnavailable, "not ready: \(reasons.joined(separator: "; "))\n")
                }),
            AdminEndpoint(
                .GET, "/metrics", "counters and gauges for Prometheus", .metrics,
                .now { _ in
                    AdminAnswer(.ok, contentType: "text/plain; version=0.0.4; charset=utf-8", metrics.prometheusText)
                }),
        ]
    }
}

/// Why the admin port cannot start.
public struct AdminError: Error, Sendable, CustomStringConvertible {
    public let description: String
}
