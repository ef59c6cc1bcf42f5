import Testing

@testable import Sockets

@Suite struct DictionarySlackTests {
    @Test func `What a crowd has left behind is given back, and the others stay`() {
        var numbers = Dictionary(uniqueKeysWithValues: (0..<50_000).map { ($0, "\($0)") })
        for number in 100..<50_000 { numbers[number] = nil }
        #expect(numbers.capacity > 40_000)
        let hasReleased = numbers.releaseSlack()
        #expect(hasReleased)
        #expect(numbers.capacity < 1000)
        #expect(numbers == Dictionary(uniqueKeysWithValues: (0..<100).map { ($0, "\($0)") }))
    }

    @Test func `A dictionary that is used, or small, is left as it is`() {
        var full = Dictionary(uniqueKeysWithValues: (0..<10_000).map { ($0, $0) })
        let fullHasReleased = full.releaseSlack()
        var small = [1: 1]
        let smallHasReleased = small.releaseSlack()
        #expect(!fullHasReleased && !smallHasReleased)
    }
}
