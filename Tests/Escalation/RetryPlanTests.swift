import TestSupport
import Testing

@testable import Escalation

/// Every status and failure, at every age.
struct RetryPlanTests {
    private func plan(_ kind: RetryPlan.Kind, attempt: Int = 1, age: Double = 0, ttl: Double? = nil) -> RetryPlan {
        RetryPlan(kind: kind, attempt: attempt, age: age, ttl: ttl)
    }

    private func result(_ plan: RetryPlan, _ status: Int, _ retryAfter: Double? = nil) -> EscalationResult {
        plan.result(of: .answered(status: status, retryAfter: retryAfter), chance: 0.5)
    }

    private enum Meaning { case done, gone, retry, dead }

    private func meaning(_ result: EscalationResult) -> Meaning {
        switch result {
        case .done: .done
        case .gone: .gone
        case .retry: .retry
        case .dead: .dead
        }
    }

    @Test func `A webhook is done with 2xx, dead with 410, and retried with everything else`() {
        for status in 200...599 {
            let expected: Meaning = status < 300 ? .done : status == 410 ? .dead : .retry
            #expect(meaning(result(plan(.webhook), status)) == expected, "\(status)")
        }
    }

    @Test func `A push service's 404 and 410 remove the subscription, other 4xx are final unless they pass`() {
        for status in 200...599 {
            let expected: Meaning =
                switch status {
                case 200..<300: .done
                case 404, 410: .gone
                case 408, 425, 429: .retry
                case 400..<500: .dead
                default: .retry
                }
            #expect(meaning(result(plan(.webPush), status)) == expected, "\(status)")
        }
    }

    @Test func `The reason names the status, and a redirect says that it is not followed`() {
        #expect(result(plan(.webhook), 500) == .retry(after: 5, reason: "answered 500"))
        #expect(result(plan(.webhook), 302) == .retry(after: 5, reason: "answered 302: redirects are not followed"))
        #expect(result(plan(.webPush), 400) == .dead(reason: "answered 400"))
    }

    @Test func `The pauses grow, and the last one repeats`() {
        let pauses = (1...10).map { attempt -> Double in
            guard case .retry(let after, _) = result(plan(.webhook, attempt: attempt), 500) else { return -1 }
            return after
        }
        #expect(pauses == [5, 30, 120, 600, 1800, 3600, 7200, 7200, 7200, 7200])
    }

    @Test func `Chance makes a pause a fifth shorter or longer`() {
        for (chance, expected) in [(0.0, 4.0), (0.5, 5.0), (1.0, 6.0)] {
            let result = plan(.webhook).result(of: .failed(reason: "x"), chance: chance)
            guard case .retry(let after, "x") = result else {
                Issue.record("\(result)")
                continue
            }
            #expect(abs(after - expected) < 1e-9)
        }
    }

    @Test(arguments: [429, 503])
    func `Retry-After postpones the next try, for two hours at most, and never brings it forward`(status: Int) {
        #expect(result(plan(.webPush), status, 60) == .retry(after: 60, reason: "answered \(status)"))
        #expect(result(plan(.webPush), status, 0) == .retry(after: 5, reason: "answered \(status)"))
        #expect(result(plan(.webPush), status, 1e6) == .retry(after: 7200, reason: "answered \(status)"))
    }

    @Test func `With other statuses Retry-After counts for nothing`() {
        #expect(result(plan(.webhook), 500, 60) == .retry(after: 5, reason: "answered 500"))
    }

    @Test func `After a day it is given up, with the last reason`() {
        #expect(meaning(result(plan(.webhook, attempt: 9, age: 86400 - 7200), 500)) == .retry)
        guard case .dead(let reason) = result(plan(.webhook, attempt: 9, age: 86400 - 7199), 500) else {
            Issue.record("it goes on")
            return
        }
        #expect(reason.hasPrefix("answered 500") && reason.contains("a day"))
        #expect(result(plan(.webhook, attempt: 20, age: 1e6), 200) == .done, "a late success is one")
    }

    @Test func `A message is given up after its ttl`() {
        #expect(meaning(result(plan(.webPush, ttl: 60), 500)) == .retry)
        #expect(meaning(result(plan(.webPush, age: 56, ttl: 60), 500)) == .dead)
        #expect(meaning(result(plan(.webPush, ttl: 0), 500)) == .dead)
        #expect(meaning(result(plan(.webPush, age: 86400, ttl: 1e6), 500)) == .dead)
    }

    @Test func `What is impossible is given up at once`() {
        #expect(plan(.webhook).result(of: .impossible(reason: "why"), chance: 0) == .dead(reason: "why"))
    }

    @Test func `An escalation that always fails ends within a day after fewer than thirty tries`() {
        var generator = SeededGenerator(seed: 14)
        for _ in 0..<200 {
            var age = 0.0, attempt = 1
            while case .retry(let after, _) = plan(.webhook, attempt: attempt, age: age)
                .result(of: .failed(reason: "x"), chance: .random(in: 0..<1, using: &generator))
            {
                age += after
                attempt += 1
                guard attempt < 100 else { break }
            }
            #expect((14..<30).contains(attempt) && age > 70000 && age <= 86400, "\(attempt) tries in \(age) s")
        }
    }
}
