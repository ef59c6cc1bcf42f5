import Broker
import NIOCore
import RedisClient

/// Reads groups' logs. A long read blocks Redis for everybody, so there is one call at a time, with a limited size;
/// `ReadQueue` decides which reads come next. Ten thousand clients that reconnect together share calls and pages.
///
/// Lives on the backplane's loop.
final class HistoryReader {
    /// Maximum entries per group in one call.
    static let pageSize = 100
    /// Bytes of messages in one call: about 0.3 ms of Redis' time, or 1.4 ms if the last message has the maximum length. Reads
    /// that do not fit are requested again.
    static let budget = 256 << 10

    private typealias Queue = ReadQueue<ReadTicket, EventLoopPromise<HistoryPage>>

    private let functions: LayerFunctions
    private let client: RedisClient
    private var queue = Queue()
    private var sendIsDue = false
    /// Pages waiting to be delivered to lagging cursors.
    private var pages = CircularBuffer<(page: HistoryPage, bytes: Int, promise: EventLoopPromise<HistoryPage>)>()
    private var handOutIsDue = false
    /// Delivering a page writes it to its client's socket. This limits the work of one turn of the loop, so that a hundred
    /// clients sharing a page do not delay others.
    private static let bytesPerTurn = 256 << 10

    init(functions: LayerFunctions, client: RedisClient) {
        self.functions = functions
        self.client = client
    }

    /// - Parameter bytes: what the reader has room for; at least one message is returned in any case.
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
        // Do not request more pages for cursors while some still wait to be delivered.
        guard let (lane, reads) = queue.nextCall(cursorsRest: !pages.isEmpty) else { return }
        let call = functions.groupRead(
            reads.map { ($0.place, $0.bytes) }, limit: Self.pageSize, budget: Self.budget)
        client.call(call) { result in
            switch result {
            case .success(let answers): self.answered(lane, answers)
            case .failure(let error):
                for promise in self.queue.failed() { promise.fail(RedisErrorMeaning.told(error)) }
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
        // A timer runs in the next turn; a task would still run in this one.
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
