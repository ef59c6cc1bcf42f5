import Broker
import NIOCore
import RedisClient

/// Reads groups' logs. What a read costs Redis holds up everybody, so one call is under way at a time, and it has a bound
/// (`ReadQueue` decides whose turn it is). Ten thousand clients that come back together share calls, and pages.
///
/// Lives on the backplane's loop.
final class HistoryReader {
    /// Entries of one group in one call.
    static let pageSize = 100
    /// Bytes of messages in one call: Redis takes some 0.3 ms for them, 1.4 ms when the last one is as long as a message
    /// can be. What finds no room is asked for again.
    static let budget = 256 << 10

    private typealias Queue = ReadQueue<ReadTicket, EventLoopPromise<HistoryPage>>

    private let keys: LayerKeys
    private let client: RedisClient
    private var queue = Queue()
    private var sendIsDue = false
    /// Pages on their way to lagging cursors.
    private var pages = CircularBuffer<(page: HistoryPage, bytes: Int, promise: EventLoopPromise<HistoryPage>)>()
    private var handOutIsDue = false
    /// A page is written to its client's socket as it is handed out: as much as a turn of the loop may take, so that a
    /// hundred clients that share a page hold up no other one.
    private static let bytesPerTurn = 256 << 10
    var onFunctionsMissing: (() -> Void)?

    init(keys: LayerKeys, client: RedisClient) {
        self.keys = keys
        self.client = client
    }

    /// - Parameter bytes: what the reader has room for; one message comes in any case.
    func read(
        _ place: ReadPlace, bytes: Int, in lane: ReadLane, _ ticket: ReadTicket,
        _ promise: EventLoopPromise<HistoryPage>
    ) {
        guard !ticket.isEnded else { return promise.fail(Self.givenUp) }
        queue.ask(place, bytes: min(max(bytes, 1), Self.budget), in: lane, ticket, promise)
        sendSoon()
    }

    func giveUp(_ ticket: ReadTicket) {
        for promise in queue.giveUp(ticket) { promise.fail(Self.givenUp) }
    }

    private static let givenUp = BackplaneError(.unavailable, "the read was given up")

    private func sendSoon() {
        guard !sendIsDue, !queue.isUnderWay, queue.waiting > 0 else { return }
        sendIsDue = true
        client.eventLoop.assumeIsolated().execute {
            self.sendIsDue = false
            self.send()
        }
    }

    private func send() {
        // Pages that nobody has taken yet are not to become more.
        guard let (lane, reads) = queue.nextCall(cursorsRest: !pages.isEmpty) else { return }
        var command = RedisCommand("FCALL_RO", "group_read", String(reads.count))
        for read in reads { command.append(keys.group(read.place.group)) }
        command.append(Self.pageSize)
        command.append(Self.budget)
        for read in reads { command.append(read.place.since?.description ?? "") }
        for read in reads { command.append(read.bytes) }
        client.submit(command).assumeIsolated().whenComplete { result in
            switch result {
            case .success(let reply): self.answer(lane, reads.map(\.place), reply.array ?? [])
            case .failure(let error):
                if let error = error as? RedisError, FunctionLibrary.isMissing(error) { self.onFunctionsMissing?() }
                for promise in self.queue.failed() { promise.fail(RedisTrouble.told(error)) }
            }
            self.sendSoon()
        }
    }

    private func answer(_ lane: ReadLane, _ places: [ReadPlace], _ answers: [RedisValue]) {
        let outcomes = places.enumerated().map { index, place in
            index < answers.count ? Self.outcome(place.group, answers[index].array ?? []) : .nonsense
        }
        for (outcome, promises) in zip(outcomes, queue.answered(outcomes.map(\.answer))) {
            guard case .page(let page) = outcome else {
                for promise in promises { promise.fail(Self.nonsense) }
                continue
            }
            if lane == .feed {
                for promise in promises { promise.succeed(page) }
            } else {
                let bytes = page.entries.reduce(0) { $0 + ($1.publication?.json.readableBytes ?? 0) }
                pages.append(contentsOf: promises.map { (page, bytes, $0) })
            }
        }
        if !handOutIsDue { handOut() }
    }

    private func handOut() {
        handOutIsDue = false
        var left = Self.bytesPerTurn
        while left > 0, let (page, bytes, promise) = pages.popFirst() {
            left -= bytes
            promise.succeed(page)
        }
        guard !pages.isEmpty else { return sendSoon() }
        handOutIsDue = true
        // A timer is for the next turn; a task would be for this one.
        client.eventLoop.assumeIsolated().scheduleTask(in: .zero) { self.handOut() }
    }

    private static let nonsense = BackplaneError(.refused, "group_read answered something else than a page")

    private enum Outcome {
        case page(HistoryPage)
        case later, nonsense

        var answer: Queue.Answer {
            switch self {
            case .page(let page): page.isCut ? .page : .end
            case .later: .later
            case .nonsense: .page
            }
        }
    }

    private static func outcome(_ group: GroupName, _ answer: [RedisValue]) -> Outcome {
        if answer.first?.text == "later" { return .later }
        return page(group, answer).map(Outcome.page) ?? .nonsense
    }

    /// nil when the answer is none of group_read's.
    static func page(_ group: GroupName, _ answer: [RedisValue]) -> HistoryPage? {
        guard answer.count == 4, let verdict = answer[0].text else { return nil }
        let continuity: Continuity =
            switch verdict {
            case "resumed", "position": .resumed
            case "history_changed": .historyChanged
            case "gap": .gap
            case "rolled_back": .rolledBack
            case "live": .liveOnly
            default: .reset
            }
        let position = Position(answer[1].text ?? "")
        let fields = answer[3].array ?? []
        var entries: [HistoryEntry] = []
        for index in stride(from: 0, to: fields.count - 1, by: 2) {
            guard let offset = fields[index].int, offset >= 0, let bytes = fields[index + 1].bytes else { continue }
            entries.append(entry(group, position, UInt64(offset), bytes))
        }
        return HistoryPage(
            continuity: continuity, position: position, proven: UInt64(max(answer[2].int ?? 0, 0)), entries: entries)
    }

    private static func entry(_ group: GroupName, _ now: Position?, _ offset: UInt64, _ bytes: ByteBuffer)
        -> HistoryEntry
    {
        // No message is empty: it has expired.
        guard let now, bytes.readableBytes > 0 else { return HistoryEntry(offset: offset, publication: nil) }
        guard let message = try? WireMessage.decode(bytes) else {
            return HistoryEntry(offset: offset, publication: nil, isUnreadable: true)
        }
        let position = Position(epoch: now.epoch, history: now.history, offset: offset)
        return HistoryEntry(
            offset: offset, publication: Publication(group: group, position: position, json: message.json))
    }
}

@available(*, unavailable) extension HistoryReader: Sendable {}
