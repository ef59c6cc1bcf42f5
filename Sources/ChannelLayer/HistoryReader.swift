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

    private let functions: LayerFunctions
    private let client: RedisClient
    private var queue = Queue()
    private var sendIsDue = false
    /// Pages on their way to lagging cursors.
    private var pages = CircularBuffer<(page: HistoryPage, bytes: Int, promise: EventLoopPromise<HistoryPage>)>()
    private var handOutIsDue = false
    /// A page is written to its client's socket as it is handed out: as much as a turn of the loop may take, so that a
    /// hundred clients that share a page hold up no other one.
    private static let bytesPerTurn = 256 << 10

    init(functions: LayerFunctions, client: RedisClient) {
        self.functions = functions
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
        let call = functions.groupRead(
            reads.map { ($0.place, $0.bytes) }, limit: Self.pageSize, budget: Self.budget)
        client.call(call) { result in
            switch result {
            case .success(let answers): self.answered(lane, answers)
            case .failure(let error):
                for promise in self.queue.failed() { promise.fail(RedisTrouble.told(error)) }
            }
            self.sendSoon()
        }
    }

    private func answered(_ lane: ReadLane, _ answers: [GroupReadAnswer]) {
        for (answer, promises) in zip(answers, queue.answered(answers.map(Self.kind))) {
            guard case .page(let page) = answer else {
                for promise in promises { promise.fail(Self.unknown) }
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

    private static let unknown = BackplaneError(
        .refused, "group_read answered something else than a page, or a verdict that this version does not know")

    private static func kind(_ answer: GroupReadAnswer) -> Queue.Answer {
        switch answer {
        case .page(let page): page.isCut ? .page : .end
        case .later: .later
        case .unknown: .page
        }
    }
}

@available(*, unavailable) extension HistoryReader: Sendable {}
