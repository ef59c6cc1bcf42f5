import NIOCore
import Testing

@testable import ChannelLayer

struct RendezvousTests {
    private let gateways = (1...7).map { "gw-\($0)" }
    private let works = (0..<16).map { LayerKeys().fleetChannel($0) } + (0..<500).map { "work-\($0)" }

    private func first(for work: String, among living: [String]) -> String {
        let firsts = living.filter { Rendezvous.rank(of: $0, for: work, among: living) == 0 }
        #expect(firsts.count == 1)
        return firsts[0]
    }

    @Test func `All agree on one order, in whatever order they know each other`() {
        for work in works {
            let ranks = gateways.map { Rendezvous.rank(of: $0, for: work, among: gateways) }
            #expect(ranks.compactMap { $0 }.sorted() == Array(0..<7))
            #expect(gateways.map { Rendezvous.rank(of: $0, for: work, among: gateways.reversed()) } == ranks)
        }
    }

    @Test func `Who is not among the living has no place`() {
        #expect(Rendezvous.rank(of: "gw-9", for: "work", among: gateways) == nil)
        #expect(Rendezvous.rank(of: "gw-1", for: "work", among: []) == nil)
        #expect(Rendezvous.rank(of: "gw-1", for: "work", among: ["gw-1"]) == 0)
    }

    @Test func `The first works immediately, the next ones later by their rank, ten ranks at most`() {
        func delays(_ living: [String]) -> [TimeAmount] {
            living.map { Rendezvous.delay(of: $0, for: "work", among: living, perRank: .milliseconds(50)) }.sorted()
        }
        #expect(delays(gateways) == (0..<7).map { .milliseconds(50 * $0) })
        #expect(delays((1...20).map { "gw-\($0)" }).last == .milliseconds(500))
        let stranger = Rendezvous.delay(of: "gw-9", for: "work", among: gateways, perRank: .milliseconds(50))
        #expect(stranger == .milliseconds(350), "after all that live")
        #expect(Rendezvous.delay(of: "gw-1", for: "work", among: [], perRank: .milliseconds(50)) == .zero)
    }

    @Test func `When one dies only its work moves, and to the next in the order`() {
        for dead in gateways {
            let living = gateways.filter { $0 != dead }
            for work in works {
                let before = first(for: work, among: gateways), after = first(for: work, among: living)
                if before == dead {
                    #expect(Rendezvous.rank(of: after, for: work, among: gateways) == 1)
                } else {
                    #expect(after == before)
                }
            }
        }
    }

    @Test func `Work is shared out evenly, also between names that differ in one letter`() {
        for names in [
            gateways, ["dev-1", "dev-2"], ["gw-0000000000000000", "gw-0000000000000001", "gw-1000000000000000"],
        ] {
            var shares: [String: Int] = [:]
            for number in 0..<3000 { shares[first(for: "work-\(number)", among: names), default: 0] += 1 }
            let even = 3000 / names.count
            for name in names { #expect((even * 3 / 4...even * 5 / 4).contains(shares[name] ?? 0), "\(shares)") }
        }
    }
}
