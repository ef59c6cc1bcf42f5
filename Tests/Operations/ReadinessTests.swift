import Testing

@testable import Operations

struct ReadinessTests {
    @Test func `At first it is not ready: it starts, and knows nothing of Redis`() {
        #expect(Readiness().reasons == ["starting", "Redis is not reachable"])
    }

    @Test func `It is ready when every obstacle is gone, and tells them in one order`() {
        let readiness = Readiness()
        for obstacle in Readiness.Obstacle.allCases { readiness.set(obstacle, false) }
        #expect(readiness.reasons.isEmpty)
        for obstacle in Readiness.Obstacle.allCases.reversed() { readiness.set(obstacle, true) }
        #expect(readiness.reasons == Readiness.Obstacle.allCases.map(\.rawValue))
    }

    @Test func `An obstacle is told in the words that it is set with, and gone without any`() {
        let readiness = Readiness()
        readiness.set(.redis, ["Redis refuses writes: READONLY", "Redis refuses subscriptions: NOPERM"])
        #expect(
            readiness.reasons == [
                "starting", "Redis refuses writes: READONLY", "Redis refuses subscriptions: NOPERM",
            ])
        readiness.set(.redis, [])
        #expect(readiness.reasons == ["starting"])
    }

    @Test func `An obstacle that is set twice is gone when it is removed once`() {
        let readiness = Readiness()
        readiness.set(.starting, false)
        readiness.set(.redis, true)
        readiness.set(.redis, true)
        readiness.set(.redis, false)
        #expect(readiness.reasons.isEmpty)
    }
}
