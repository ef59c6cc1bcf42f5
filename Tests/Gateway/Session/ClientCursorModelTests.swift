import Broker
import NIOCore
import TestSupport
import Testing

@testable import Gateway

/// Random histories of a group, its log, and a client's socket: whatever a client is not shown must be reported to it.
struct ClientCursorModelTests {
    /// A model of a group's log in Redis, with what can happen to it. Messages are numbered in the order they were sent.
    private struct Log {
        struct Message {
            var number: Int
            var isUnreadable = false
            var isExpired = false
        }

        var epoch = 1, history = 1
        /// Indexed by offset - 1.
        var messages: [Message] = []
        /// Number of messages no longer in the log.
        var trimmed = 0
        /// For each earlier history, up to which offset it is shared with this one.
        var lineage: [HexDigits: UInt64] = [:]

        var now: Position { position(messages.count) }

        func position(_ offset: Int) -> Position {
            Position(epoch: Self.hex(epoch), history: Self.hex(history), offset: UInt64(offset))
        }

        private static func hex(_ number: Int) -> HexDigits { HexDigits(String(number, radix: 16))! }

        /// A restart, or a failover that loses the tail after `kept`.
        mutating func changeHistory(kept: Int) {
            for (history, inherited) in lineage { lineage[history] = min(inherited, UInt64(kept)) }
            lineage[Self.hex(history)] = UInt64(kept)
            messages.removeLast(messages.count - kept)
            trimmed = min(trimmed, kept)
            history += 1
        }

        mutating func flush() {
            self = Log(epoch: epoch + 1, history: history)
        }

        /// Answers as `group_read` does (redis/README.md, "Positions").
        func page(since: Position, limit: Int) -> HistoryPage {
            guard !messages.isEmpty else {
                return HistoryPage(continuity: .reset, position: nil, proven: 0, entries: [])
            }
            var continuity = Continuity.resumed, proven = Int(since.offset)
            if since.epoch != now.epoch {
                // From before the first message, everything is new.
                (continuity, proven) = since == .beginning ? (.resumed, 0) : (.reset, 0)
            } else if since.history != now.history {
                let inherited = lineage[since.history] ?? 0
                continuity = since.offset <= inherited ? .historyChanged : .rolledBack
                proven = Int(min(since.offset, inherited))
            }
            let first = max(proven, trimmed)
            if first > proven {
                if continuity.isRecovered { continuity = .gap }
                proven = trimmed
            }
            let entries = messages.enumerated().dropFirst(first).prefix(limit).map { index, message in
                let position = self.position(index + 1)
                return HistoryEntry(
                    offset: position.offset,
                    publication: message.isUnreadable || message.isExpired
                        ? nil : Self.publication(message.number, position),
                    isUnreadable: message.isUnreadable && !message.isExpired)
            }
            return HistoryPage(continuity: continuity, position: now, proven: UInt64(proven), entries: Array(entries))
        }

        static func publication(_ number: Int, _ position: Position) -> Publication {
            Publication(group: try! GroupName("g"), position: position, json: ByteBuffer(string: "\(number)"))
        }
    }

    /// What a client has been shown and told, in order.
    private enum Seen: Equatable {
        case message(Int)
        case loss
    }

    private struct World {
        var generator: SeededGenerator
        var log = Log()
        var count = 0
        /// Expired, or lost with a server's tail: not in the log for clients that have not seen them.
        var gone: Set<Int> = []
        var seen: [Seen] = []
        var cursor: ClientCursor
        /// The group's last message on the loop, as kept by `GroupMembers`.
        var last: Position?
        var asked: (since: Position, ticket: ReadTicket, last: Position?, page: HistoryPage?)?
        /// Messages that the socket can take.
        var room = 3
        let subscribesAgain: Bool

        init(seed: UInt64, subscribesAgain: Bool) {
            generator = SeededGenerator(seed: seed)
            self.subscribesAgain = subscribesAgain
            cursor = ClientCursor(at: .beginning, isResumption: false, subscribesAgain: subscribesAgain)
        }

        mutating func random(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }

        mutating func told(_ isTold: Bool) {
            if isTold { seen.append(.loss) }
            subscribe()
        }

        /// A client that was told to subscribe again does so, and starts at the group's current position.
        mutating func subscribe() {
            guard cursor.state == .left else { return }
            asked = nil
            let start = log.messages.isEmpty ? log.position(0) : log.now
            cursor = ClientCursor(at: start, isResumption: false, subscribesAgain: true)
        }

        mutating func send() {
            count += 1
            log.messages.append(.init(number: count, isUnreadable: random(12) == 0))
            let position = log.now
            if log.messages.last!.isUnreadable {
                // The feed reads the log, and tells all live clients.
                lost(.gap, at: position)
                last = position
                return
            }
            switch cursor.offer(position, isLogged: true, room: room > 0 ? .free : .unloggedOnly) {
            case .take(let missed, let dropped):
                #expect(missed == 0 && dropped == 0)
                write(count)
            case .subscribeAgain: told(true)
            case .skip, .fallBehind: break
            case .drop: #expect(Bool(false), "the log has it")
            }
            last = position
        }

        mutating func write(_ number: Int) {
            room -= 1
            seen.append(.message(number))
        }

        mutating func lost(_ continuity: Continuity, at position: Position) {
            let hadMessages = last != nil
            last = continuity == .gap && position != .beginning ? position : nil
            told(cursor.lost(continuity, at: position, hadMessages: hadMessages))
        }

        mutating func proceed() {
            guard room > 0, asked == nil else { return }
            switch cursor.proceed(last: last) {
            case .read(let since, let ticket): asked = (since, ticket, last, nil)
            case .enterLive, .wait: break
            }
        }

        /// Redis answers now, or an earlier answer arrives.
        mutating func answer() {
            guard var read = asked else { return }
            guard let page = read.page else {
                read.page = log.page(since: read.since, limit: 1 + random(4))
                asked = read
                return
            }
            asked = nil
            if random(10) == 0 { return cursor.readAgain(read.ticket) }
            switch cursor.arrived(page, read.ticket) {
            case .stale: break
            case .missed: #expect(Bool(false), "the group has a log")
            case .enterLive(let loss): told(loss != nil)
            case .entries(let loss):
                if loss != nil { seen.append(.loss) }
                take(page)
                if let end = cursor.finish(page), let last, last == read.last, !last.isComparable(to: end) {
                    self.last = end
                }
                subscribe()
            }
            proceed()
        }

        mutating func take(_ page: HistoryPage) {
            for (index, entry) in page.entries.enumerated() {
                let isFollowed = index + 1 < page.entries.count && page.entries[index + 1].isUnreadable
                switch cursor.take(entry, isFollowedByUnreadable: isFollowed, hasRoom: room > 0) {
                case .write: write(Int(String(buffer: entry.publication!.json))!)
                case .tell: seen.append(.loss)
                case .pass: break
                case .stop: return
                }
            }
        }

        mutating func restart(losing tail: Int) {
            let kept = log.messages.count - min(tail, log.messages.count)
            let isLoss = kept < log.messages.count
            gone.formUnion(log.messages[kept...].map(\.number))
            log.changeHistory(kept: kept)
            // The feed reads the log, and tells live clients.
            if isLoss { lost(.rolledBack, at: log.position(kept)) }
        }

        mutating func step() {
            switch random(40) {
            case 0..<16: send()
            case 16..<22: room += 1 + random(3)
            case 22..<26: proceed()
            case 26..<34: answer()
            case 34: restart(losing: 0)
            case 35: restart(losing: 1 + random(3))
            case 36:
                log.flush()
                lost(.reset, at: .beginning)
            case 37: log.trimmed = max(log.trimmed, log.messages.count - random(6))
            default:
                guard log.messages.count > log.trimmed else { break }
                let index = log.trimmed + random(log.messages.count - log.trimmed)
                log.messages[index].isExpired = true
                gone.insert(log.messages[index].number)
            }
        }

        /// The client reads everything, and nothing more is sent.
        mutating func settle() {
            for _ in 0..<400 {
                room = 10
                proceed()
                answer()
            }
        }
    }

    @Test(arguments: 0..<100, [false, true])
    func `Each message is shown once and in order, or has expired, or a loss is told where it is missing`(
        seed: UInt64, subscribesAgain: Bool
    ) {
        var world = World(seed: seed, subscribesAgain: subscribesAgain)
        for _ in 0..<600 { world.step() }
        world.settle()
        #expect(world.cursor.state == .live, "\(world.cursor)")
        var next = 1
        var isTold = false
        for seen in world.seen + [.message(world.count + 1)] {
            guard case .message(let number) = seen else {
                isTold = true
                continue
            }
            #expect(number >= next, "\(number) is shown again, or late")
            let missing = (next..<max(number, next)).filter { !world.gone.contains($0) }
            #expect(missing.isEmpty || isTold, "\(missing) are missing before \(number)")
            (next, isTold) = (number + 1, false)
        }
    }
}
