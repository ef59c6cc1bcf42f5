import Broker
import Testing

struct CloseCodeTests {
    @Test func `Every code of ours may be on the wire, and each has its own number`() {
        #expect(CloseCode.allCases.allSatisfy { CloseCode.mayBeReceived($0.rawValue) })
        #expect(Set(CloseCode.allCases).count == CloseCode.allCases.count)
    }

    @Test func `Our own codes lie in the range that says whether to come back`() {
        for code in CloseCode.allCases where code.rawValue >= 4000 { #expect((4400...4999).contains(code.rawValue)) }
        #expect((4400...4499).contains(CloseCode.rateLimited.rawValue))
        #expect((4500...4999).contains(CloseCode.slow.rawValue))
    }

    /// RFC 6455 section 7.4.1, the IANA registry (1012 to 1014) and section 7.4.2.
    @Test func `A peer may send exactly the codes that the registry and the ranges allow`() {
        let allowed = Set<UInt16>([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014])
        for code in UInt16.min...UInt16.max {
            #expect(CloseCode.mayBeReceived(code) == (allowed.contains(code) || (3000...4999).contains(code)))
        }
    }
}
