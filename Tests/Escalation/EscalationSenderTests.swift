import Broker
import Foundation
import Logging
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Escalation

/// The sender over a queue in memory and a transport that answers when the test says so.
struct EscalationSenderTests {
    /// A task's origin is its body.
    private final class FakeTransport: EscalationTransport {
        private struct State {
            var waiting: [String: CheckedContinuation<RetryPlan.Outcome, Never>] = [:]
            var most = 0
            var isClosed = false
        }
        private let state = Mutex(State())

        func origin(of task: EscalationTask) -> String { String(buffer: task.body) }

        func send(_ task: EscalationTask, now: Double) async -> RetryPlan.Outcome {
            await withCheckedContinuation { continuation in
                state.withLock { state in
                    state.waiting[task.id] = continuation
                    state.most = max(state.most, state.waiting.count)
                }
            }
        }

        func close() async { state.withLock { $0.isClosed = true } }

        func answer(_ id: String, _ outcome: RetryPlan.Outcome = .answered(status: 200, retryAfter: nil)) {
            state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(returning: outcome)
        }

        var sending: Set<String> { state.withLock { Set($0.waiting.keys) } }
        var most: Int { state.withLock { $0.most } }
        var isClosed: Bool { state.withLock { $0.isClosed } }
    }

    private struct Setting {
        let queue = FakeQueue()
        let transport = FakeTransport()
        let metrics = Metrics()
        let lines = LogLines()
        let sender: EscalationSender

        init(_ target: EscalationTarget? = nil, second: Duration = .milliseconds(10)) throws {
            let usual = EscalationTarget.webPush(
                .init(key: VAPIDKey(), subject: try VAPIDSubject("mailto:a@b.example"), maxInFlight: 4))
            sender = EscalationSender(
                name: "t", target: target ?? usual, transport: transport, queue: queue, metrics: metrics,
                logger: lines.logger, second: second)
        }

        func task(_ id: String, _ origin: String = "https://a.example", attempt: Int = 1, age: Double = 0)
            -> EscalationTask
        {
            .example(id, body: origin, attempt: attempt, since: Date().timeIntervalSince1970 - age)
        }

        func value(_ series: String) -> String? {
            metrics.prometheusText.split(separator: "\n").first { $0.hasPrefix("\(series){target=\"t\"} ") }?
                .split(separator: " ").last.map(String.init)
        }
    }

    @Test func `What is due at the start is sent and finished`() async throws {
        let setting = try Setting()
        setting.queue.add(setting.task("1"), setting.task("2"))
        await setting.sender.start()
        try await waitUntil("two to be sent") { setting.transport.sending == ["1", "2"] }
        #expect(setting.value("tocsin_escalations_in_flight") == "2")
        setting.transport.answer("1")
        setting.transport.answer("2", .answered(status: 410, retryAfter: nil))
        try await waitUntil("both results") { setting.queue.finished == ["1": .done, "2": .gone] }
        await setting.sender.stop()
        #expect(
            setting.value("tocsin_escalations_sent_total") == "1"
                && setting.value("tocsin_escalations_gone_total") == "1")
        #expect(setting.value("tocsin_escalations_in_flight") == "0")
        #expect(setting.transport.isClosed && setting.queue.excess.isEmpty)
    }

    @Test func `Waking claims at once`() async throws {
        let setting = try Setting(second: .seconds(3600))
        await setting.sender.start()
        try await waitUntil("the first claim") { setting.queue.claims == 1 }
        setting.queue.add(setting.task("1"))
        for _ in 0..<1000 { setting.sender.wake() }
        try await waitUntil("it to be sent") { setting.transport.sending == ["1"] }
        setting.transport.answer("1")
        await setting.sender.stop()
        #expect(setting.queue.finished == ["1": .done])
    }

    @Test func `Failures are retried, counted and logged without the path`() async throws {
        let setting = try Setting()
        setting.queue.add(setting.task("1"), setting.task("2", attempt: 9, age: 86400))
        await setting.sender.start()
        try await waitUntil("both to be sent") { setting.transport.sending.count == 2 }
        setting.transport.answer("1", .failed(reason: "no answer in time"))
        setting.transport.answer("2", .answered(status: 500, retryAfter: nil))
        await setting.sender.stop()
        guard case .retry(let after, "no answer in time") = setting.queue.finished["1"],
            case .dead = setting.queue.finished["2"]
        else {
            Issue.record("\(setting.queue.finished)")
            return
        }
        #expect((4...6).contains(after))
        #expect(
            setting.value("tocsin_escalations_failed_total") == "1"
                && setting.value("tocsin_escalations_dead_total") == "1")
        #expect(setting.lines.all.contains { $0.contains("tried again") && $0.contains("to=https://a.example") })
        #expect(setting.lines.all.contains { $0.contains("given up") && $0.contains("escalation=escalation-2") })
    }

    @Test func `One line a minute tells of many failures`() async throws {
        let setting = try Setting()
        for number in 0..<8 { setting.queue.add(setting.task("\(number)")) }
        await setting.sender.start()
        try await waitUntil("all results") {
            for id in setting.transport.sending { setting.transport.answer(id, .failed(reason: "x")) }
            return setting.queue.finished.count == 8
        }
        await setting.sender.stop()
        #expect(setting.lines.all.count { $0.contains("tried again") } == 1)
    }

    @Test func `A hanging origin has half of the slots, and the tasks of others are sent beside it`() async throws {
        let setting = try Setting()
        for number in 0..<20 { setting.queue.add(setting.task("h\(number)", "https://hanging.example")) }
        setting.queue.add(setting.task("other", "https://healthy.example"))
        await setting.sender.start()
        try await waitUntil("the other one to be sent") { setting.transport.sending.contains("other") }
        #expect(setting.transport.sending.count == 3)
        try await waitUntil("all the others to be put back") { setting.queue.finished.count == 18 }
        for result in setting.queue.finished.values {
            guard case .retry(let after, "its push service is busy") = result else {
                Issue.record("\(result)")
                continue
            }
            #expect((8...12).contains(after))
        }
        for id in setting.transport.sending { setting.transport.answer(id) }
        await setting.sender.stop()
        #expect(setting.queue.finished.count == 21 && setting.transport.most <= 4)
    }

    @Test func `A queue that cannot be asked is asked again, and logged once`() async throws {
        let setting = try Setting()
        setting.queue.setBroken(true)
        setting.queue.add(setting.task("1"))
        await setting.sender.start()
        try await waitUntil("several claims") { setting.queue.claims > 3 }
        #expect(setting.lines.all.count { $0.contains("the queue of escalations failed") } == 1)
        setting.queue.setBroken(false)
        try await waitUntil("it to be sent") { setting.transport.sending == ["1"] }
        setting.transport.answer("1")
        await setting.sender.stop()
        #expect(setting.queue.finished == ["1": .done])
    }

    @Test func `A result that the queue does not take frees the slot all the same`() async throws {
        let target = EscalationTarget.webPush(
            .init(key: VAPIDKey(), subject: try VAPIDSubject("mailto:a@b.example"), maxInFlight: 1))
        let setting = try Setting(target)
        setting.queue.add(setting.task("1"), setting.task("2"))
        await setting.sender.start()
        try await waitUntil("the first to be sent") { setting.transport.sending == ["1"] }
        setting.queue.setBroken(true)
        setting.transport.answer("1")
        try await waitUntil("the failure to be logged") {
            setting.lines.all.contains { $0.contains("operation=finish") }
        }
        setting.queue.setBroken(false)
        try await waitUntil("the second to be sent") { setting.transport.sending == ["2"] }
        setting.transport.answer("2")
        await setting.sender.stop()
        #expect(setting.queue.open == ["1"], "its claim expires")
    }

    @Test func `Stopping waits for what is being sent, and puts back what waits`() async throws {
        let setting = try Setting(second: .seconds(3600))
        for number in 1...4 { setting.queue.add(setting.task("\(number)")) }
        await setting.sender.start()
        try await waitUntil("two to be sent") { setting.transport.sending.count == 2 }
        async let stopped: Void = setting.sender.stop()
        try await waitUntil("the others to be put back") {
            setting.queue.finished.values.count { $0 == .retry(after: 0, reason: "the gateway stops") } == 2
        }
        #expect(!setting.transport.isClosed)
        for id in setting.transport.sending { setting.transport.answer(id) }
        await stopped
        #expect(setting.transport.isClosed && setting.queue.open.isEmpty)
        setting.queue.add(setting.task("9"))
        setting.sender.wake()
        await setting.sender.stop()
        #expect(setting.queue.finished["9"] == nil)
    }

    @Test func `A sender that was never started can be stopped`() async throws {
        let setting = try Setting()
        await setting.sender.stop()
        #expect(setting.transport.isClosed && setting.queue.claims == 0)
    }

    @Test func `A target's name is escaped in its series`() {
        #expect(EscalationMetrics.escaped("a\"b\\\n") == #"a\"b\\\n"#)
    }
}
