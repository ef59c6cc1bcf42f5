import AsyncHTTPClient
import Broker
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport
import Testing

@testable import Escalation

/// Pushes to a service on loopback, whose name only the test's resolver knows.
struct WebPushTransportTests {
    /// Answers from a list, the last entry for ever.
    private final class FakeResolver: NameResolver {
        private let answers: Mutex<[[String]]>
        private let asked = Mutex<[String]>([])

        init(_ answers: [String]...) { self.answers = Mutex(answers) }

        func addresses(of host: String, before deadline: NIODeadline) async throws -> [IPAddress] {
            asked.withLock { $0.append(host) }
            let texts = answers.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
            return texts.map { IPAddress($0)! }
        }

        func close() async {}

        var names: [String] { asked.withLock { $0 } }
    }

    private static let loopback = [try! AddressBlock("127.0.0.0/8")]

    private func target(timeout: TimeAmount = .seconds(20)) throws -> EscalationTarget.WebPush {
        EscalationTarget.WebPush(key: VAPIDKey(), subject: try VAPIDSubject("mailto:a@b.example"), timeout: timeout)
    }

    private func clients(
        _ resolver: any NameResolver, allowed: [AddressBlock] = loopback, authority: String? = nil
    ) throws -> PinnedClients {
        let policy = OutboundPolicy(allowedPrivateNetworks: allowed, trustRoots: authority)
        let roots = try policy.certificates()
        return PinnedClients(policy: policy, resolver: resolver) {
            OutboundRequest.client(
                on: MultiThreadedEventLoopGroup.singleton, connections: 4, roots: roots, overrides: $0)
        }
    }

    private func task(_ url: String, allowed: [AddressBlock] = loopback) throws -> EscalationTask {
        let subscription = try PushSubscription(
            endpoint: url, p256dh: PushSubscriptionTests.p256dh, auth: PushSubscriptionTests.auth,
            policy: OutboundPolicy(allowedPrivateNetworks: allowed))
        return .example("1", subscription: subscription, since: Date().timeIntervalSince1970)
    }

    private func send(_ task: EscalationTask, _ clients: PinnedClients, timeout: TimeAmount = .seconds(20)) async throws
        -> RetryPlan.Outcome
    {
        let transport = WebPushTransport(try target(timeout: timeout), clients: clients)
        return await transport.send(task, now: Date().timeIntervalSince1970)
    }

    @Test func `The checked address is connected to, and TLS asks for the name and verifies it`() async throws {
        try await TestAuthority.run(names: "DNS:push.example.net") { authority in
            try await LocalSite.run(tls: authority.server, { _ in .answer(.created) }) { site, port in
                let resolver = FakeResolver(["127.0.0.1"])
                let clients = try clients(resolver, authority: authority.file)
                for _ in 0..<3 {
                    let outcome = try await send(try task("https://push.example.net:\(port)/p/1"), clients)
                    #expect(outcome == .answered(status: 201, retryAfter: nil))
                }
                await clients.close()
                let request = try #require(site.requests.first)
                #expect(request.head.headers["host"] == ["push.example.net:\(port)"])
                #expect(request.head.uri == "/p/1" && request.body.readableBytes > 86)
                #expect(request.head.headers["ttl"].count == 1)
                #expect(site.connections == 1 && resolver.names == ["push.example.net"], "both are kept")
            }
        }
    }

    @Test func `A certificate for another name is refused, and so is an unknown authority`() async throws {
        try await TestAuthority.run(names: "DNS:other.example.net") { authority in
            try await LocalSite.run(tls: authority.server, { _ in .answer(.created) }) { site, port in
                for roots in [authority.file, nil] {
                    let clients = try clients(FakeResolver(["127.0.0.1"]), authority: roots)
                    let outcome = try await send(try task("https://push.example.net:\(port)/"), clients)
                    guard case .failed(let reason) = outcome else {
                        Issue.record("it was sent")
                        return
                    }
                    #expect(reason.contains("certificate"))
                    await clients.close()
                }
                #expect(site.requests.isEmpty)
            }
        }
    }

    @Test(arguments: [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["8.8.8.8", "::1"], ["169.254.169.254"]])
    func `A name with any address that is not public is refused for good, without a connection`(addresses: [String])
        async throws
    {
        let resolver = FakeResolver(addresses)
        let clients = try clients(resolver, allowed: [])
        guard
            case .impossible(let reason) = try await send(
                try task("https://push.example.net/p/T0K3N", allowed: []), clients)
        else {
            Issue.record("it was sent")
            return
        }
        #expect(reason.contains("not public") && reason.contains(addresses.last!) && !reason.contains("T0K3N"))
        #expect(await clients.count == 0)
        await clients.close()
    }

    @Test func `A name server that changes its mind changes nothing for the checked address`() async throws {
        try await TestAuthority.run(names: "DNS:push.example.net") { authority in
            try await LocalSite.run(tls: authority.server, { _ in .answer(.created) }) { site, port in
                // The client itself never asks: a second answer would be refused here, and reached nowhere.
                let resolver = FakeResolver(["127.0.0.1"], ["10.0.0.1"])
                let clients = try clients(resolver, authority: authority.file)
                for _ in 0..<2 {
                    let outcome = try await send(try task("https://push.example.net:\(port)/"), clients)
                    #expect(outcome == .answered(status: 201, retryAfter: nil))
                }
                await clients.close()
                #expect(site.requests.count == 2 && resolver.names.count == 1)
            }
        }
    }

    @Test func `After an address that cannot be reached the next one is tried`() async throws {
        try await TestAuthority.run(names: "DNS:push.example.net") { authority in
            try await LocalSite.run(tls: authority.server, { _ in .answer(.created) }) { _, port in
                let clients = try clients(FakeResolver(["127.0.0.2", "127.0.0.1"]), authority: authority.file)
                let task = try task("https://push.example.net:\(port)/")
                guard case .failed = try await send(task, clients) else {
                    Issue.record("127.0.0.2 answers")
                    return
                }
                #expect(try await send(task, clients) == .answered(status: 201, retryAfter: nil))
                await clients.close()
            }
        }
    }

    @Test func `A subscription with an address instead of a name is checked once more before it is used`() async throws
    {
        let clients = try clients(FakeResolver([]), allowed: [])
        guard case .impossible = try await send(try task("https://127.0.0.1/"), clients) else {
            Issue.record("it was sent")
            return
        }
        await clients.close()
    }

    @Test func `A name without an address is tried again later`() async throws {
        let clients = try clients(FakeResolver([]))
        let outcome = try await send(try task("https://push.example.net/"), clients)
        #expect(outcome == .failed(reason: "its name has no address"))
        await clients.close()
    }

    @Test func `A task without subscription is given up`() async throws {
        let clients = try clients(FakeResolver([]))
        let outcome = try await send(.example("1", since: 0), clients)
        #expect(outcome == .impossible(reason: "it has no push subscription"))
        await clients.close()
    }

    @Test func `Clients are kept for a limited number of hosts`() async throws {
        let clients = try clients(FakeResolver(["8.8.8.8"]), allowed: [])
        for number in 0..<100 {
            let lease = try await clients.lease(
                PushEndpoint("https://p\(number).example/"), before: .now() + .seconds(10))
            await clients.release(lease, reached: true)
        }
        #expect(await clients.count == PinnedClients.capacity)
        // While a client is in use it stays open, and is closed by its last user.
        let lease = try await clients.lease(PushEndpoint("https://p0.example/"), before: .now() + .seconds(10))
        for number in 0..<100 {
            let other = try await clients.lease(
                PushEndpoint("https://q\(number).example/"), before: .now() + .seconds(10))
            await clients.release(other, reached: false)
        }
        #expect(await clients.count == PinnedClients.capacity + 1)
        await clients.release(lease, reached: true)
        #expect(await clients.count == PinnedClients.capacity)
        await clients.close()
        #expect(await clients.count == 0)
    }

    @Test func `The system's resolver knows this machine, and says when it does not know a name`() async throws {
        let resolver = SystemResolver(on: MultiThreadedEventLoopGroup.singleton.any())
        let addresses = try await resolver.addresses(of: "localhost", before: .now() + .seconds(20))
        #expect(addresses.contains { ["127.0.0.1", "::1"].contains("\($0)") })
        await #expect(throws: EscalationError.self) {
            try await resolver.addresses(of: "nobody.invalid", before: .now() + .seconds(20))
        }
        await #expect(throws: EscalationError.self) { try await resolver.addresses(of: "localhost", before: .now()) }
        await resolver.close()
    }

    @Test func `A file of authorities that cannot be read is named`() {
        #expect {
            try OutboundPolicy(trustRoots: "/nonexistent/ca.pem").certificates()
        } throws: {
            "\($0)".contains("/nonexistent/ca.pem")
        }
    }
}
