import Broker
import Foundation
import Logging
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Escalation

/// One task through a real sender to a peer that somebody else runs: `Tests/Interop/test_webhooks.py` and `test_web_push.py` start
/// this test with `TOCSIN_TEST_PEER`, and verify with other libraries what arrives.
struct PeerTests {
    /// The variable's JSON: what is sent, where, and `expected`, the result's name.
    private static let peer = ProcessInfo.processInfo.environment["TOCSIN_TEST_PEER"].map { ByteBuffer(string: $0) }

    private struct Sent {
        var result: EscalationResult?
        var lines: [String]
    }

    private func target(_ peer: JSONFields) throws -> EscalationTarget {
        let timeout = TimeAmount.milliseconds(peer.integer("timeout_ms") ?? 20000)
        if let url = peer.string("url") {
            let secrets = try (peer.string("secrets") ?? "").split(separator: " ").map { try WebhookSecret(String($0)) }
            return .webhook(.init(url: try WebhookURL(url), secrets: secrets, timeout: timeout))
        }
        let key = try peer.string("key").map { try VAPIDKey(pem: $0) } ?? VAPIDKey()
        return .webPush(.init(key: key, subject: try VAPIDSubject("mailto:ops@site.example"), timeout: timeout))
    }

    private func send(_ peer: JSONFields) async throws -> Sent {
        let queue = FakeQueue(), lines = LogLines()
        let policy = OutboundPolicy(
            allowedPrivateNetworks: [try AddressBlock("127.0.0.0/8")], trustRoots: peer.string("authority"))
        let sender = try EscalationSender(
            name: "t", target: target(peer), queue: queue, policy: policy, group: MultiThreadedEventLoopGroup.singleton,
            metrics: Metrics(), logger: lines.logger)
        queue.add(
            EscalationTask(
                id: "1", escalation: peer.string("id") ?? "msg_1", target: "t", attempt: 1,
                since: Date().timeIntervalSince1970, group: "orders", user: "7", position: "e.h:1",
                body: ByteBuffer(string: peer.string("body") ?? "{}"),
                subscription: try peer.raw("subscription").map { try PushSubscription(json: $0, policy: policy) },
                ttl: peer.integer("ttl").map(Int.init), urgency: peer.string("urgency"), topic: peer.string("topic")))
        await sender.start()
        try await waitUntil("a result") { queue.finished["1"] != nil }
        await sender.stop()
        return Sent(result: queue.finished["1"], lines: lines.all)
    }

    @Test(.enabled(if: peer != nil, "only for the interop tests"))
    func `A task is sent to the peer of the environment, with the result that it expects`() async throws {
        let peer = try JSONFields(#require(Self.peer))
        let sent = try await send(peer)
        let expected = try #require(peer.string("expected"))
        let result = try #require(sent.result)
        switch result {
        case .done: #expect(expected == "done")
        case .gone: #expect(expected == "gone")
        case .retry(let after, let reason):
            #expect(expected == "retry", "\(reason)")
            #expect(peer.string("reason").map(reason.contains) ?? true, "\(reason)")
            #expect(after >= Double(peer.integer("not_before") ?? 0))
        case .dead(let reason):
            #expect(expected == "dead", "\(reason)")
            #expect(peer.string("reason").map(reason.contains) ?? true, "\(reason)")
        }
        for secret in (peer.string("hidden") ?? "").split(separator: " ") {
            #expect(!sent.lines.contains { $0.contains(secret) } && !"\(result)".contains(secret))
        }
    }
}
