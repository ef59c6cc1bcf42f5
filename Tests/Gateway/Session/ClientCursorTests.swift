import Broker
import NIOCore
import Testing

@testable import Gateway

/// Each event in each state.
struct ClientCursorTests {
    private static let group = try! GroupName("g")
    private static func at(_ offset: UInt64, history: HexDigits = "a") -> Position {
        Position(epoch: "e", history: history, offset: offset)
    }

    private static func entry(_ offset: UInt64, history: HexDigits = "a") -> HistoryEntry {
        let position = at(offset, history: history)
        return HistoryEntry(
            offset: offset, publication: Publication(group: group, position: position, json: ByteBuffer(string: "{}")))
    }

    private static func page(
        _ continuity: Continuity, now: Position?, proven: UInt64 = 0, _ entries: [HistoryEntry] = []
    ) -> HistoryPage {
        HistoryPage(continuity: continuity, position: now, proven: proven, entries: entries)
    }

    /// A cursor that has been shown everything up to 5, in each state.
    private enum Place: CaseIterable { case live, behind, reading, left }

    private func cursor(_ place: Place, subscribesAgain: Bool = false) -> (ClientCursor, ReadTicket) {
        var cursor = ClientCursor(
            at: Self.at(5), isResumption: place == .reading, subscribesAgain: subscribesAgain || place == .left)
        var ticket = ReadTicket()
        switch place {
        case .live: _ = cursor.proceed(last: nil)
        case .behind: break
        case .reading: if case .read(_, let asked) = cursor.proceed(last: nil) { ticket = asked }
        case .left:
            _ = cursor.proceed(last: nil)
            _ = cursor.lost(.reset, at: .beginning, hadMessages: true)
        }
        return (cursor, ticket)
    }

    private func offer(
        _ place: Place, _ position: Position?, isLogged: Bool = true, room: Room = .free, subscribesAgain: Bool = false
    ) -> ClientCursor.Offer {
        var (cursor, _) = cursor(place, subscribesAgain: subscribesAgain)
        return cursor.offer(position, isLogged: isLogged, room: room)
    }

    private static let take = ClientCursor.Offer.take(missed: 0, dropped: 0)

    // MARK: Offers

    @Test func `A live client takes what is new, and is shown nothing twice`() {
        #expect(offer(.live, Self.at(6)) == Self.take)
        #expect(offer(.live, Self.at(9)) == Self.take, "the feed vouches for what it delivers")
        #expect(offer(.live, Self.at(5)) == .skip)
        #expect(offer(.live, Self.at(1)) == .skip)
        #expect(offer(.live, Self.at(6, history: "b")) == Self.take)
        #expect(offer(.live, nil, isLogged: false) == Self.take)
    }

    @Test func `A lagging client leaves to the log what the log has, and takes what it has not`() {
        for place in [Place.behind, .reading] {
            #expect(offer(place, Self.at(6)) == .skip)
            #expect(offer(place, Self.at(6), isLogged: false) == Self.take)
            #expect(offer(place, Self.at(5), isLogged: false) == .skip)
            #expect(offer(place, nil, isLogged: false, room: .unloggedOnly) == Self.take)
            #expect(offer(place, nil, isLogged: false, room: .none) == .drop)
        }
    }

    @Test func `One that has left is offered nothing`() {
        for room in [Room.free, .unloggedOnly, .none] {
            #expect(offer(.left, Self.at(6), room: room) == .skip)
            #expect(offer(.left, nil, isLogged: false, room: room) == .skip)
        }
    }

    @Test(arguments: [Room.unloggedOnly, .none])
    func `Without room a live client falls behind, to the message before`(room: Room) {
        var (cursor, _) = cursor(.live)
        #expect(cursor.offer(Self.at(8), isLogged: true, room: room) == .fallBehind)
        #expect(cursor.state == .behind(Self.at(7), mustRead: true))
        #expect(cursor.shown == Self.at(5))
        #expect(cursor.offer(Self.at(9), isLogged: true, room: .free) == .skip)
    }

    @Test func `What no log keeps is dropped when there is no room at all, and told of with the next`() {
        for place in [Place.live, .behind, .reading] {
            var (cursor, _) = cursor(place)
            #expect(cursor.offer(Self.at(6), isLogged: false, room: .none) == .drop)
            #expect(cursor.offer(nil, isLogged: false, room: .none) == .drop)
            #expect(cursor.offer(Self.at(7), isLogged: false, room: .unloggedOnly) == .take(missed: 0, dropped: 2))
            #expect(cursor.offer(Self.at(8), isLogged: false, room: .free) == Self.take)
            #expect(cursor.offer(nil, isLogged: false, room: .none) == .drop)
            #expect(cursor.takeDropped() == 1)
            #expect(cursor.takeDropped() == 0)
        }
    }

    @Test func `A jump in what no log keeps is a number of missed messages`() {
        #expect(offer(.live, Self.at(9), isLogged: false) == .take(missed: 3, dropped: 0))
        #expect(offer(.live, Self.at(9, history: "b"), isLogged: false) == Self.take)
        var first = ClientCursor(at: .beginning, isResumption: false, subscribesAgain: false)
        #expect(first.offer(Self.at(4), isLogged: false, room: .free) == .take(missed: 3, dropped: 0))
    }

    @Test func `In a new history a client that subscribes again is told to, and no other`() {
        #expect(offer(.live, Self.at(6, history: "b"), subscribesAgain: true) == .subscribeAgain)
        #expect(offer(.live, Self.at(6), subscribesAgain: true) == Self.take)
        #expect(offer(.live, nil, isLogged: false, subscribesAgain: true) == Self.take)
        var (cursor, _) = cursor(.live, subscribesAgain: true)
        _ = cursor.offer(Self.at(6, history: "b"), isLogged: true, room: .free)
        #expect(cursor.state == .left)
    }

    @Test func `A run is taken as it is where it goes on from what was shown`() {
        func takes(_ first: Position, isLogged: Bool = true, shown: Position = Self.at(5)) -> Bool {
            ClientCursor.takesRun(from: first, isLogged: isLogged, shown: shown)
        }
        #expect(takes(Self.at(6)) && takes(Self.at(6), isLogged: false))
        #expect(takes(Self.at(8)) && !takes(Self.at(8), isLogged: false))
        #expect(!takes(Self.at(5)) && !takes(Self.at(6, history: "b")) && !takes(Self.at(1), shown: .beginning))
    }

    // MARK: Losses

    private static let losses = [Continuity.gap, .reset, .rolledBack, .renewed, .historyChanged]

    @Test(arguments: losses)
    func `A live client is told of a loss, and what was shown begins again at its position`(continuity: Continuity) {
        var (cursor, _) = cursor(.live)
        #expect(cursor.lost(continuity, at: Self.at(7), hadMessages: true) == true)
        #expect(cursor.shown == Self.at(7) && cursor.state == .live)
    }

    @Test func `A gap is not told to one that stands beyond it`() {
        var (cursor, _) = cursor(.live)
        #expect(cursor.lost(.gap, at: Self.at(5), hadMessages: true) == false)
        #expect(cursor.shown == Self.at(5))
        #expect(cursor.lost(.gap, at: Self.at(3, history: "b"), hadMessages: true) == true)
    }

    @Test(arguments: losses)
    func `A lagging client reads the log, which tells it`(continuity: Continuity) {
        var (cursor, _) = cursor(.behind)
        #expect(cursor.lost(continuity, at: Self.at(7), hadMessages: true) == false)
        #expect(cursor.state == .behind(Self.at(5), mustRead: true) && cursor.shown == Self.at(5))
    }

    /// The page in flight may have been read before the loss.
    @Test(arguments: losses)
    func `A client that reads reads again when something was lost meanwhile`(continuity: Continuity) {
        let pages = [
            Self.page(.resumed, now: Self.at(6), proven: 5, [Self.entry(6)]), Self.page(.reset, now: nil),
            Self.page(.liveOnly, now: Self.at(6), proven: 5),
        ]
        for page in pages {
            var (cursor, ticket) = cursor(.reading)
            #expect(cursor.lost(continuity, at: Self.at(2), hadMessages: true) == false)
            _ = cursor.arrived(page, ticket)
            for entry in page.entries { _ = cursor.take(entry, hasRoom: true) }
            #expect(cursor.finish(page) == nil)
            guard case .read = cursor.proceed(last: nil) else { return #expect(Bool(false), "\(cursor)") }
            // Only once.
            guard case .reading(_, let second) = cursor.state else { return #expect(Bool(false)) }
            _ = cursor.arrived(Self.page(.resumed, now: Self.at(6), proven: 6), second)
            _ = cursor.finish(Self.page(.resumed, now: Self.at(6), proven: 6))
            #expect(cursor.proceed(last: nil) == .enterLive)
        }
    }

    /// It has nothing to compare with: a log that begins anew continues from there.
    @Test func `A lagging client from before the first message is told when the group begins anew`() {
        for hadMessages in [true, false] {
            for subscribesAgain in [true, false] {
                var cursor = ClientCursor(at: .beginning, isResumption: true, subscribesAgain: subscribesAgain)
                #expect(cursor.lost(.reset, at: .beginning, hadMessages: hadMessages) == hadMessages)
                #expect((cursor.state == .left) == (hadMessages && subscribesAgain))
                cursor = ClientCursor(at: .beginning, isResumption: true, subscribesAgain: subscribesAgain)
                _ = cursor.proceed(last: nil)
                #expect(cursor.lost(.gap, at: Self.at(1), hadMessages: hadMessages) == false)
            }
        }
    }

    @Test func `Something without a position may have been missed: what was shown stays`() {
        for place in [Place.live, .behind, .reading] {
            var (cursor, _) = cursor(place)
            let before = cursor
            #expect(cursor.mayHaveMissed() == true)
            #expect(cursor == before)
        }
    }

    @Test func `One that has left is told nothing more`() {
        var (left, _) = cursor(.left)
        #expect(left.lost(.reset, at: .beginning, hadMessages: true) == false)
        #expect(left.mayHaveMissed() == false)
    }

    @Test func `A client that subscribes again leaves with any loss but that of a group without a log`() {
        for continuity in Self.losses {
            var (cursor, _) = cursor(.live, subscribesAgain: true)
            #expect(cursor.lost(continuity, at: Self.at(9), hadMessages: true) == true)
            #expect(cursor.state == .left)
        }
        var (cursor, _) = cursor(.live, subscribesAgain: true)
        #expect(cursor.lost(.liveOnly, at: Self.at(9), hadMessages: true) == true)
        #expect(cursor.state == .live)
        for place in [Place.live, .behind, .reading] {
            var (cursor, _) = self.cursor(place, subscribesAgain: true)
            #expect(cursor.mayHaveMissed() == true)
            #expect(cursor.state == .left)
        }
    }

    // MARK: Catching up

    @Test func `A lagging cursor reads while the log may have more, and is live when it has not`() {
        func step(_ cursor: ClientCursor, last: Position?) -> ClientCursor.Step {
            var cursor = cursor
            return cursor.proceed(last: last)
        }
        let (behind, _) = cursor(.behind)
        #expect(step(behind, last: nil) == .enterLive)
        #expect(step(behind, last: Self.at(5)) == .enterLive)
        #expect(step(behind, last: Self.at(4)) == .enterLive)
        for last in [Self.at(6), Self.at(1, history: "b")] {
            guard case .read(Self.at(5), _) = step(behind, last: last) else { return #expect(Bool(false)) }
        }
        let resuming = ClientCursor(at: Self.at(5), isResumption: true, subscribesAgain: false)
        guard case .read(Self.at(5), _) = step(resuming, last: nil) else { return #expect(Bool(false)) }
        for place in [Place.live, .reading, .left] { #expect(step(cursor(place).0, last: Self.at(9)) == .wait) }
    }

    @Test func `Only the page that is waited for is taken`() {
        let page = Self.page(.resumed, now: Self.at(6), proven: 5, [Self.entry(6)])
        for place in Place.allCases {
            var (cursor, _) = cursor(place)
            let before = cursor
            #expect(cursor.arrived(page, ReadTicket()) == .stale)
            #expect(cursor == before)
            cursor.readAgain(ReadTicket())
            #expect(cursor == before && !cursor.isReading(ReadTicket()))
        }
    }

    @Test func `A read that failed is due again from where it was`() {
        var (cursor, ticket) = cursor(.reading)
        #expect(cursor.isReading(ticket))
        cursor.readAgain(ticket)
        #expect(cursor.state == .behind(Self.at(5), mustRead: true))
    }

    private func take(_ page: HistoryPage, _ cursor: inout ClientCursor) -> [ClientCursor.EntryStep] {
        var steps: [ClientCursor.EntryStep] = []
        for entry in page.entries { steps.append(cursor.take(entry, hasRoom: true)) }
        return steps
    }

    @Test func `A page is written entry by entry, and at the log's end the cursor stands there`() {
        var (cursor, ticket) = cursor(.reading)
        let expired = HistoryEntry(offset: 7, publication: nil)
        let page = Self.page(.resumed, now: Self.at(8), proven: 5, [Self.entry(6), expired, Self.entry(8)])
        #expect(cursor.arrived(page, ticket) == .entries(tell: nil))
        #expect(take(page, &cursor) == [.write, .pass, .write])
        #expect(cursor.shown == Self.at(8))
        #expect(cursor.finish(page) == Self.at(8))
        #expect(cursor.state == .behind(Self.at(8), mustRead: false))
        #expect(cursor.proceed(last: Self.at(8)) == .enterLive)
    }

    @Test func `What was shown live meanwhile is not written again`() {
        var (cursor, ticket) = cursor(.reading)
        #expect(cursor.offer(Self.at(6), isLogged: false, room: .free) == Self.take)
        let page = Self.page(.resumed, now: Self.at(7), proven: 5, [Self.entry(6), Self.entry(7)])
        _ = cursor.arrived(page, ticket)
        #expect(take(page, &cursor) == [.pass, .write])
    }

    @Test func `A page that finds no room stops, and is read on from there`() {
        var (cursor, ticket) = cursor(.reading)
        let page = Self.page(.resumed, now: Self.at(8), proven: 5, [Self.entry(6), Self.entry(7), Self.entry(8)])
        _ = cursor.arrived(page, ticket)
        #expect(cursor.take(page.entries[0], hasRoom: true) == .write)
        #expect(cursor.take(page.entries[1], hasRoom: false) == .stop)
        #expect(cursor.take(page.entries[2], hasRoom: true) == .stop)
        #expect(cursor.finish(page) == nil)
        #expect(cursor.state == .behind(Self.at(6), mustRead: true))
    }

    @Test func `A page that is cut is read on from its end, but not an empty one that says nothing new`() {
        func after(_ page: HistoryPage) -> ClientCursor.State {
            var (cursor, ticket) = cursor(.reading)
            _ = cursor.arrived(page, ticket)
            for entry in page.entries { _ = cursor.take(entry, hasRoom: true) }
            _ = cursor.finish(page)
            return cursor.state
        }
        #expect(
            after(Self.page(.resumed, now: Self.at(9), proven: 5, [Self.entry(6)]))
                == .behind(Self.at(6), mustRead: true))
        #expect(after(Self.page(.resumed, now: Self.at(9), proven: 5)) == .behind(Self.at(5), mustRead: false))
        #expect(after(Self.page(.gap, now: Self.at(9), proven: 7)) == .behind(Self.at(7), mustRead: true))
    }

    @Test(arguments: [Continuity.gap, .rolledBack, .reset])
    func `A page that does not go on is told before its entries`(continuity: Continuity) {
        var (cursor, ticket) = cursor(.reading)
        let now = Position(epoch: "f", history: "b", offset: 3)
        let page = Self.page(continuity, now: now, proven: 2)
        #expect(cursor.arrived(page, ticket) == .entries(tell: continuity))
        #expect(cursor.shown == Position(epoch: "f", history: "b", offset: 2))
        var (again, sameTicket) = self.cursor(.reading, subscribesAgain: true)
        #expect(again.arrived(page, sameTicket) == .entries(tell: continuity))
        #expect(again.state == .left)
        #expect(again.take(Self.entry(3), hasRoom: true) == .stop)
        #expect(again.finish(page) == nil)
    }

    @Test func `A new history is no loss, but one that subscribes again is told at its first message`() {
        let page = Self.page(.historyChanged, now: Self.at(6, history: "b"), proven: 5, [Self.entry(6, history: "b")])
        var (plain, ticket) = cursor(.reading)
        #expect(plain.arrived(page, ticket) == .entries(tell: nil))
        #expect(plain.take(page.entries[0], hasRoom: true) == .write)
        var (again, other) = cursor(.reading, subscribesAgain: true)
        #expect(again.arrived(page, other) == .entries(tell: nil))
        #expect(again.take(page.entries[0], hasRoom: true) == .tell(.historyChanged))
        #expect(again.state == .left)
    }

    @Test func `Of unreadable entries that follow each other one loss is told`() {
        var (cursor, ticket) = cursor(.reading)
        let bad = (6...7).map { HistoryEntry(offset: UInt64($0), publication: nil, isUnreadable: true) }
        let page = Self.page(.resumed, now: Self.at(8), proven: 5, bad + [Self.entry(8)])
        _ = cursor.arrived(page, ticket)
        #expect(cursor.take(bad[0], isFollowedByUnreadable: true, hasRoom: true) == .pass)
        #expect(cursor.take(bad[1], hasRoom: true) == .tell(.gap))
        #expect(cursor.shown == Self.at(7))
        #expect(cursor.take(page.entries[2], hasRoom: true) == .write)
    }

    @Test func `Where nothing was ever sent under the group's new key the client is live at once`() {
        var (cursor, ticket) = cursor(.reading)
        #expect(cursor.arrived(Self.page(.reset, now: nil), ticket) == .enterLive(tell: .reset))
        #expect(cursor.state == .live && cursor.shown == .beginning)
        var (again, other) = self.cursor(.reading, subscribesAgain: true)
        #expect(again.arrived(Self.page(.reset, now: nil), other) == .entries(tell: .reset))
        #expect(again.state == .left)
    }

    @Test func `Without a log the client is told how many are gone, once`() {
        var (cursor, ticket) = cursor(.reading)
        #expect(cursor.arrived(Self.page(.liveOnly, now: Self.at(9), proven: 5), ticket) == .missed(4))
        #expect(cursor.shown == Self.at(9) && cursor.state == .behind(Self.at(9), mustRead: false))

        (cursor, ticket) = self.cursor(.reading)
        _ = cursor.offer(Self.at(8), isLogged: false, room: .free)
        #expect(cursor.arrived(Self.page(.liveOnly, now: Self.at(9), proven: 5), ticket) == .missed(1))
        (cursor, ticket) = self.cursor(.reading)
        _ = cursor.offer(Self.at(9), isLogged: false, room: .free)
        #expect(cursor.arrived(Self.page(.liveOnly, now: Self.at(9), proven: 5), ticket) == .missed(0))
    }
}
