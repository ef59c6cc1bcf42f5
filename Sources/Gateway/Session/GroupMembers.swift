import Broker
import NIOCore

/// The sessions of one event loop in one group, and how far the group has been delivered on this loop.
///
/// Sessions that keep up are packed in `live`, which fan-outs iterate over. A session whose socket is full, or that resumes
/// from a past position, is in `behind`: it is fed from the log until it has caught up. Lives on its shard's loop.
final class GroupMembers {
    let group: GroupName
    private(set) var live: ContiguousArray<LiveMember> = []
    private(set) var behind: [Session] = []
    /// Position of the last publication delivered here; nil: none since the loop has had members.
    var last: Position?
    /// What the group's policy keeps about its users, as the last join was told.
    var tracking = Tracking.none
    /// Number of `JoinHold`s: publications are tracked for clients that are still joining.
    private var holds = 0
    /// Encoded log entries, kept briefly while several sessions are behind.
    private var read = ReadEncodings()

    init(group: GroupName) { self.group = group }

    var isEmpty: Bool { live.isEmpty && behind.isEmpty && holds == 0 }

    func hold() { holds += 1 }
    func release() { holds -= 1 }

    /// - Returns: the member's slot, which changes when others leave.
    func addLive(_ member: LiveMember) -> Int {
        live.append(member)
        return live.count - 1
    }

    /// - Returns: the last position shown to the client.
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

    /// Encodings of a publication that was read from the log.
    func encodings(of publication: Publication) -> Encodings { read[publication] }

    /// Keeps encodings that were just written, for other sessions at the same cursor.
    func keep(_ encodings: Encodings, _ eventLoop: any EventLoop) {
        guard behind.count > 1 else { return }
        if read.isEmpty {
            eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(100)) { self.read = ReadEncodings() }
        }
        read.keep(encodings)
    }

    /// Writes a whole run to one live member. False: its session must be offered the messages one by one.
    ///
    /// - Parameter atOnce: hand the bytes to the kernel now instead of at the end of the fan-out.
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

/// A session that keeps up with a group. Holds what a delivery needs side by side: in a walk over 10,000 sessions every
/// other object that is touched is a cache miss.
struct LiveMember {
    let session: Session
    let transport: any SessionTransport
    let form: WireForm
    /// Whether the client gets the same bytes as others, and nothing besides: not with compression, nor with a cursor over several
    /// groups, nor with pings behind the messages of a group with receipts.
    let takesRuns: Bool
    /// The last position shown to the client.
    var shown: Position?
}
