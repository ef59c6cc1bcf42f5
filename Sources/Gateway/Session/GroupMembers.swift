import Broker
import NIOCore

/// The sessions of one event loop that are in one group, and how far the group has been delivered on this loop.
///
/// Sessions that keep up are packed in `live`, which a fan-out walks. A session that cannot take more, or that joined
/// with a past, is a lagging cursor in `behind`: it is fed from the log until it has caught up. Lives on its shard's loop.
final class GroupMembers {
    let group: GroupName
    private(set) var live: ContiguousArray<LiveMember> = []
    private(set) var behind: [Session] = []
    /// The position of the last publication that came here; nil: none since the loop has members.
    var last: Position?
    /// `JoinHold`s: publications count for clients that are joining already.
    private var holds = 0
    /// For a moment, when several are behind.
    private var read = ReadEncodings()

    init(group: GroupName) { self.group = group }

    var isEmpty: Bool { live.isEmpty && behind.isEmpty && holds == 0 }

    func hold() { holds += 1 }
    func release() { holds -= 1 }

    /// - Returns: its slot, which may change when others leave.
    func addLive(_ member: LiveMember) -> Int {
        live.append(member)
        return live.count - 1
    }

    /// - Returns: what the client was shown last.
    func removeLive(slot: Int) -> Position? {
        let shown = live[slot].shown
        let last = live.removeLast()
        if slot < live.count {
            live[slot] = last
            last.session.moved(to: slot, in: self)
        }
        return shown
    }

    func show(_ position: Position?, slot: Int) { live[slot].shown = position }

    func addBehind(_ session: Session) { behind.append(session) }

    func removeBehind(_ session: Session) { behind.removeAll { $0 === session } }

    /// One of the log's.
    func encodings(of publication: Publication) -> Encodings { read[publication] }

    /// The same when it has been written, for others who are at the same cursor.
    func keep(_ encodings: Encodings, _ eventLoop: any EventLoop) {
        guard behind.count > 1 else { return }
        if read.isEmpty {
            eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(100)) { self.read = ReadEncodings() }
        }
        read.keep(encodings)
    }

    /// A whole run to one live member. False: its session has to look at the messages one by one.
    ///
    /// - Parameter atOnce: to the kernel now, not at the end of the fan-out.
    func deliver(_ run: inout PublicationRun, slot: Int, atOnce: Bool) -> Bool {
        guard live[slot].takesRuns else { return false }
        let transport = live[slot].transport
        guard transport.hasRoom else { return false }
        if let first = run.first, let last = run.last {
            if let shown = live[slot].shown {
                guard ClientCursor.takesRun(from: first, isLogged: run.isLogged, shown: shown) else { return false }
            }
            live[slot].shown = last
        }
        let bytes = run.bytes(for: live[slot].form)
        if atOnce { transport.send(bytes) } else { transport.write(bytes) }
        return true
    }
}

@available(*, unavailable) extension GroupMembers: Sendable {}

/// A session that keeps up with a group. What a delivery looks at lies side by side: a walk over 10,000 sessions finds
/// nothing of them in the processor's cache, and waits for memory at each object that it has to touch.
struct LiveMember {
    let session: Session
    let transport: any SessionTransport
    let form: WireForm
    /// Whether the client gets the same bytes as others: not one that inflates, or whose cursor is over several groups.
    let takesRuns: Bool
    /// The last position that the client has been shown.
    var shown: Position?
}
