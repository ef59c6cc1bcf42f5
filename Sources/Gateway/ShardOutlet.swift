import Broker
import NIOCore
import Synchronization

/// The shard as the backplane sees it: delivers everything that came since the last hop with one hop to the loop.
final class ShardOutlet: Outlet {
    private let shard: NIOLoopBound<Shard>
    private let eventLoop: any EventLoop
    private let mailbox = Mutex(Mailbox())

    init(shard: NIOLoopBound<Shard>, eventLoop: any EventLoop) {
        self.shard = shard
        self.eventLoop = eventLoop
    }

    func deliver(_ deliveries: [Delivery]) {
        if eventLoop.inEventLoop { return shard.value.deliver(deliveries) }
        guard mailbox.withLock({ $0.put(deliveries) }) else { return }
        eventLoop.execute { self.shard.value.deliver(self.mailbox.withLock { $0.empty() }) }
    }
}

/// Deliveries on their way to another loop. A value without I/O.
///
/// Bounded, in case the loop is busy for seconds: beyond the limit publications are dropped, and their groups' clients are
/// told that messages are missing.
struct Mailbox {
    /// Bytes of publications. A healthy loop drains gigabytes per second, so a full mailbox means that the loop is stuck.
    static let maximumBytes = 64 << 20

    private let maximumBytes: Int
    private var deliveries: [Delivery] = []
    private var byteCount = 0
    /// Groups with dropped publications, and their positions.
    private var lost: [GroupName: Position] = [:]

    init(maximumBytes: Int = Self.maximumBytes) { self.maximumBytes = maximumBytes }

    /// - Returns: whether the loop must be woken: true once until the mailbox is emptied.
    mutating func put(_ more: [Delivery]) -> Bool {
        // Only the call that makes the mailbox non-empty needs to wake the loop.
        let isFirst = deliveries.isEmpty && lost.isEmpty
        for delivery in more {
            if case .direct(let connection, let json?) = delivery {
                let isFull = byteCount + json.readableBytes > maximumBytes
                if !isFull { byteCount += json.readableBytes }
                deliveries.append(isFull ? .direct(connection, nil) : delivery)
                continue
            }
            guard case .publication(let publication) = delivery else {
                deliveries.append(delivery)
                continue
            }
            let size = publication.json.readableBytes
            // Later messages of the group must not be delivered either: they would hide the gap.
            if byteCount + size > maximumBytes || lost[publication.group] != nil {
                lost[publication.group] = publication.position ?? .beginning
            } else {
                byteCount += size
                deliveries.append(delivery)
            }
        }
        return isFirst
    }

    mutating func empty() -> [Delivery] {
        defer { self = Mailbox(maximumBytes: maximumBytes) }
        return deliveries + lost.map { .lost($0.key, .gap, $0.value) }
    }
}
