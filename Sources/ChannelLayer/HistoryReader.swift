import Broker
import NIOCore
import RedisClient

/// Reads groups' logs: everything that is asked for in one moment is one call, and one call is under way at a time, so
/// that ten thousand clients that come back together cost a few dozen round trips.
///
/// Lives on the backplane's loop.
final class HistoryReader {
    /// Groups in one call.
    static let batchSize = 512
    /// Entries of one group in one call.
    static let pageSize = 100
    /// Bytes of messages in one call; groups that find no room are asked for again.
    static let budget = 1 << 20

    private struct Request {
        var group: GroupName
        var since: Position?
        var promise: EventLoopPromise<HistoryPage>
    }

    private let keys: LayerKeys
    private let client: RedisClient
    private var waiting: [Request] = []
    private var isUnderWay = false
    private var sendIsDue = false
    var onFunctionsMissing: (() -> Void)?

    init(keys: LayerKeys, client: RedisClient) {
        self.keys = keys
        self.client = client
    }

    func read(_ group: GroupName, since: Position?, _ promise: EventLoopPromise<HistoryPage>) {
        waiting.append(Request(group: group, since: since, promise: promise))
        sendSoon()
    }

    private func sendSoon() {
        guard !sendIsDue, !isUnderWay, !waiting.isEmpty else { return }
        sendIsDue = true
        client.eventLoop.assumeIsolated().execute {
            self.sendIsDue = false
            self.send()
        }
    }

    private func send() {
        guard !isUnderWay, !waiting.isEmpty else { return }
        let batch = Array(waiting.prefix(Self.batchSize))
        waiting.removeFirst(batch.count)
        isUnderWay = true
        var command = RedisCommand("FCALL_RO", "group_read", String(batch.count))
        for request in batch { command.append(keys.group(request.group)) }
        command.append(Self.pageSize)
        command.append(Self.budget)
        for request in batch { command.append(request.since?.description ?? "") }
        client.submit(command).assumeIsolated().whenComplete { result in
            self.isUnderWay = false
            switch result {
            case .success(let reply): self.answer(batch, reply.array ?? [])
            case .failure(let error):
                if let error = error as? RedisError, FunctionLibrary.isMissing(error) { self.onFunctionsMissing?() }
                for request in batch { request.promise.fail(RedisTrouble.told(error)) }
            }
            self.sendSoon()
        }
    }

    private func answer(_ batch: [Request], _ answers: [RedisValue]) {
        var later: [Request] = []
        for (index, request) in batch.enumerated() {
            guard index < answers.count, let answer = answers[index].array else {
                request.promise.fail(BackplaneError(.refused, "group_read answered something else than a page"))
                continue
            }
            if answer.first?.text == "later" {
                later.append(request)
            } else if let page = Self.page(request.group, answer) {
                request.promise.succeed(page)
            } else {
                request.promise.fail(BackplaneError(.refused, "group_read answered something else than a page"))
            }
        }
        waiting.insert(contentsOf: later, at: 0)
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
