import Broker
import TestSupport
import Testing

@testable import ChannelLayer

struct GroupTableTests {
    private let news = try! GroupName("news")

    private func member(_ number: UInt64, user: String? = nil) -> Member {
        Member(connection: ConnectionID(value: number), user: user)
    }

    private func id(_ number: UInt64) -> ConnectionID { ConnectionID(value: number) }

    @Test func `An empty table knows nobody`() {
        var table = GroupTable()
        #expect(table["news"] == nil)
        #expect(!table.contains(id(1), channel: "news"))
        #expect(table.discard(id(1), channel: "news", outlet: 0) == .notAMember)
        #expect(table.count == 0 && table.memberships == 0 && table.all.isEmpty)
    }

    @Test func `A member interests its outlet and no other`() {
        var table = GroupTable()
        table.add(member(1), to: news, channel: "news", outlet: 2)
        #expect((0..<5).map { table["news"]!.interests($0) } == [false, false, true, false, false])
        table.add(member(2), to: news, channel: "news", outlet: 0)
        #expect((0..<5).map { table["news"]!.interests($0) } == [true, false, true, false, false])
        #expect(table["news"]?.group == news)
    }

    @Test func `An outlet is interested until its last member has gone`() {
        var table = GroupTable()
        for number in 1...3 as ClosedRange<UInt64> {
            table.add(member(number), to: news, channel: "news", outlet: number == 3 ? 1 : 0)
        }
        #expect(table.discard(id(1), channel: "news", outlet: 0) == .others)
        #expect(table["news"]!.interests(0))
        #expect(table.discard(id(2), channel: "news", outlet: 0) == .others)
        #expect(!table["news"]!.interests(0))
        #expect(table["news"]!.interests(1))
        #expect(table.discard(id(3), channel: "news", outlet: 1) == .last(GroupTerms()))
        #expect(table["news"] == nil)
    }

    @Test func `Joining twice counts once, leaving twice too`() {
        var table = GroupTable()
        table.add(member(1, user: "a"), to: news, channel: "news", outlet: 0)
        table.add(member(1, user: "b"), to: news, channel: "news", outlet: 0)
        table.add(member(2), to: news, channel: "news", outlet: 0)
        #expect(table.memberships == 2)
        #expect(table.discard(id(1), channel: "news", outlet: 0) == .others)
        #expect(table.discard(id(1), channel: "news", outlet: 0) == .notAMember)
        #expect(table.discard(id(2), channel: "news", outlet: 0) == .last(GroupTerms()))
        #expect(table.memberships == 0)
    }

    @Test func `What Redis' policy says of a group is kept until its last member has gone`() {
        var table = GroupTable()
        let live = GroupTerms(isLogged: false, tellsPresence: true)
        #expect(table.learn(live, channel: "news") == nil, "nobody is in it")
        table.add(member(1), to: news, channel: "news", outlet: 0)
        #expect(table.learn(live, channel: "news") == GroupTerms())
        #expect(table.learn(live, channel: "news") == live)
        #expect(table.unlogged.map(\.group) == [news])
        #expect(table.discard(id(1), channel: "news", outlet: 0) == .last(live))
        table.add(member(2), to: news, channel: "news", outlet: 0)
        #expect(table["news"]?.terms == GroupTerms())
        #expect(table.unlogged.isEmpty)
    }

    @Test(arguments: 0..<10)
    func `Random joins and leaves: the table says what a plain list says`(seed: UInt64) throws {
        struct Place: Hashable {
            var group: String
            var number: UInt64
        }
        var generator = SeededGenerator(seed: seed)
        var table = GroupTable()
        var model: [Place: Int] = [:]
        for _ in 0..<2000 {
            let place = Place(
                group: "g\(Int.random(in: 0..<5, using: &generator))", number: .random(in: 0..<8, using: &generator))
            let name = try GroupName(place.group)
            // A connection lives on one loop.
            let outlet = Int(place.number % 3)
            if Bool.random(using: &generator) {
                table.add(member(place.number), to: name, channel: place.group, outlet: outlet)
                model[place] = outlet
            } else {
                let action = table.discard(id(place.number), channel: place.group, outlet: outlet)
                let was = model.removeValue(forKey: place) != nil
                let others = model.keys.contains { $0.group == place.group }
                #expect(action == (was ? others ? .others : .last(GroupTerms()) : .notAMember))
            }
            #expect(table.memberships == model.count)
            #expect(table.count == Set(model.keys.map(\.group)).count)
            #expect(table.contains(id(place.number), channel: place.group) == (model[place] != nil))
            for outlet in 0..<3 {
                let isInterested = model.contains { $0.key.group == place.group && $0.value == outlet }
                #expect((table[place.group]?.interests(outlet) ?? false) == isInterested)
            }
        }
        #expect(
            Set(table.all.map { Place(group: $0.group.text, number: $0.member.connection.value) }) == Set(model.keys))
    }
}
