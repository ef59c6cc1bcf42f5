import AsyncHTTPClient
import NIOCore
import NIOHTTP1

/// Sends one task once. Any thread.
protocol EscalationTransport: Sendable {
    /// Where the task goes, without the path; for slots and for the log.
    func origin(of task: EscalationTask) -> String
    /// - Parameter now: seconds since 1970.
    func send(_ task: EscalationTask, now: Double) async -> RetryPlan.Outcome
    /// Called when nothing is being sent any more.
    func close() async
}

/// Posts to the operator's site.
struct WebhookTransport: EscalationTransport {
    private let target: EscalationTarget.Webhook
    private let client: HTTPClient

    init(_ target: EscalationTarget.Webhook, client: HTTPClient) { (self.target, self.client) = (target, client) }

    func origin(of task: EscalationTask) -> String { target.url.origin }

    func send(_ task: EscalationTask, now: Double) async -> RetryPlan.Outcome {
        var headers = StandardWebhook(secrets: target.secrets).headers(
            id: task.escalation, timestamp: Int(now), body: task.body)
        headers.add(name: "Content-Type", value: "application/json")
        headers.add(name: "User-Agent", value: "Tocsin")
        return await OutboundRequest.post(
            task.body, to: target.url.text, headers: headers, by: client, before: .now() + target.timeout, now: now)
    }

    func close() async { try? await client.shutdown() }
}

/// Posts to push services, whose addresses browsers have given.
struct WebPushTransport: EscalationTransport {
    private let target: EscalationTarget.WebPush
    private let clients: PinnedClients

    init(_ target: EscalationTarget.WebPush, clients: PinnedClients) { (self.target, self.clients) = (target, clients) }

    func origin(of task: EscalationTask) -> String { task.subscription?.endpoint.origin ?? "" }

    func send(_ task: EscalationTask, now: Double) async -> RetryPlan.Outcome {
        let request: PushRequest
        do {
            request = try PushRequest(task, target, now: now)
        } catch { return .impossible(reason: error.description) }
        guard let endpoint = task.subscription?.endpoint else {
            return .impossible(reason: "it has no push subscription")
        }
        let deadline = NIODeadline.now() + target.timeout
        let lease: PinnedClients.Lease
        do {
            lease = try await clients.lease(endpoint, before: deadline)
        } catch let error as ForbiddenAddress {
            return .impossible(reason: error.description)
        } catch { return .failed(reason: OutboundRequest.reason(error)) }
        let outcome = await OutboundRequest.post(
            request.body, to: request.url, headers: request.headers, by: lease.client, before: deadline, now: now)
        if case .failed = outcome {
            await clients.release(lease, reached: false)
        } else {
            await clients.release(lease, reached: true)
        }
        return outcome
    }

    func close() async { await clients.close() }
}
