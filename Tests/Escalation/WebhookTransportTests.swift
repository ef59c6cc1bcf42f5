import AsyncHTTPClient
import Broker
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import TestSupport
import Testing

@testable import Escalation

/// Webhooks, posted to a site on loopback.
struct WebhookTransportTests {
    private static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    private static let task = EscalationTask.example("1", body: #"{"n":1}"#, since: 0)

    private func send(
        to url: String, timeout: TimeAmount = .seconds(20), now: Double = 1_700_000_000.9, times: Int = 1
    ) async throws -> RetryPlan.Outcome {
        let target = EscalationTarget.Webhook(
            url: try WebhookURL(url), secrets: [try WebhookSecret(Self.secret)], timeout: timeout)
        let client = OutboundRequest.client(on: MultiThreadedEventLoopGroup.singleton, connections: 4, roots: nil)
        let transport = WebhookTransport(target, client: client)
        var outcome = await transport.send(Self.task, now: now)
        for _ in 1..<times { outcome = await transport.send(Self.task, now: now) }
        await transport.close()
        return outcome
    }

    @Test func `The body is posted as it is, with a signature that covers it`() async throws {
        try await LocalSite.run({ _ in .answer(.noContent) }) { site, port in
            let outcome = try await send(to: "http://127.0.0.1:\(port)/hook?key=1")
            #expect(outcome == .answered(status: 204, retryAfter: nil))
            let request = try #require(site.requests.first)
            #expect(request.head.method == .POST && request.head.uri == "/hook?key=1")
            #expect(String(buffer: request.body) == #"{"n":1}"#)
            #expect(request.head.headers["content-type"] == ["application/json"])
            #expect(request.head.headers["webhook-id"] == ["escalation-1"])
            #expect(request.head.headers["webhook-timestamp"] == ["1700000000"])
            let expected = StandardWebhook(secrets: [try WebhookSecret(Self.secret)])
                .signatures(id: "escalation-1", timestamp: 1_700_000_000, body: request.body)
            #expect(request.head.headers["webhook-signature"] == [expected])
        }
    }

    @Test func `A redirect is not followed`() async throws {
        try await LocalSite.run({ _ in .answer(.temporaryRedirect, ["Location": "/elsewhere"]) }) { site, port in
            let outcome = try await send(to: "http://127.0.0.1:\(port)/")
            #expect(outcome == .answered(status: 307, retryAfter: nil))
            #expect(site.requests.count == 1)
        }
    }

    @Test func `Retry-After is read`() async throws {
        try await LocalSite.run({ _ in .answer(.serviceUnavailable, ["Retry-After": "17"]) }) { _, port in
            let outcome = try await send(to: "http://127.0.0.1:\(port)/")
            #expect(outcome == .answered(status: 503, retryAfter: 17))
        }
    }

    @Test func `A site that says nothing is given up after the time-out`() async throws {
        try await LocalSite.run({ _ in .silence }) { _, port in
            let outcome = try await send(to: "http://127.0.0.1:\(port)/", timeout: .milliseconds(200))
            #expect(outcome == .failed(reason: "no answer in time"))
        }
    }

    @Test func `Once the head is there its status counts, though the body never comes`() async throws {
        try await LocalSite.run({ _ in .headThenSilence(.ok) }) { _, port in
            let outcome = try await send(to: "http://127.0.0.1:\(port)/", timeout: .milliseconds(500))
            #expect(outcome == .answered(status: 200, retryAfter: nil))
        }
    }

    @Test func `Of a body without end little more than 64 KiB is read`() async throws {
        try await LocalSite.run({ _ in .endless(.ok) }) { site, port in
            let outcome = try await send(to: "http://127.0.0.1:\(port)/")
            #expect(outcome == .answered(status: 200, retryAfter: nil))
            try await waitUntil("the connection to be closed") { site.aborted == 1 }
            // Socket buffers take some megabytes on loopback.
            #expect(site.written < 32 << 20)
        }
    }

    @Test func `A connection is used again`() async throws {
        try await LocalSite.run({ _ in .answer(.ok) }) { site, port in
            _ = try await send(to: "http://127.0.0.1:\(port)/", times: 5)
            #expect(site.requests.count == 5 && site.connections == 1)
        }
    }

    @Test func `A closed port is a failure whose reason does not contain the path`() async throws {
        let port = try await LocalSite.run({ _ in .silence }) { _, port in port }
        guard case .failed(let reason) = try await send(to: "http://127.0.0.1:\(port)/T0K3N") else {
            Issue.record("somebody listens")
            return
        }
        #expect(!reason.contains("T0K3N") && reason.contains("could not be reached"))
    }
}
