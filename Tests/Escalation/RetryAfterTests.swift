import Testing

@testable import Escalation

/// The header Retry-After.
struct RetryAfterTests {
    @Test func `Seconds count from now`() { #expect(RetryAfter.seconds("120", now: 1000) == 120) }

    @Test func `A date counts from now, and a past one is now`() {
        #expect(RetryAfter.seconds("Sun, 06 Nov 1994 08:49:37 GMT", now: 784_111_700) == 77)
        #expect(RetryAfter.seconds("Sun, 06 Nov 1994 08:49:37 GMT", now: 784_111_800) == 0)
    }

    @Test(arguments: [
        "", "-1", "1.5", "soon", "1e3", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 6 Foo 1994 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT",
    ])
    func `Anything else is ignored`(text: String) { #expect(RetryAfter.seconds(text, now: 0) == nil) }
}
