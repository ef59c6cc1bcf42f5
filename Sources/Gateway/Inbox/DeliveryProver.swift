import Broker
import NIOCore

/// Pings one WebSocket behind messages of groups with receipts, and confirms what its pongs prove.
///
/// Lives on its shard's loop; made by its session for the first such message, so that others cost nothing.
final class DeliveryProver {
    private let shard: Shard
    private unowned let transport: any SessionTransport
    private var proof = DeliveryProof(salt: .random(in: .min ... .max))
    /// The offset before the first message that was written to the client in a row, by group.
    private var starts: [GroupName: Position] = [:]
    private var isEnded = false

    init(_ transport: any SessionTransport, shard: Shard) {
        self.transport = transport
        self.shard = shard
    }

    /// Call for each message; after the last one of a batch call `batchEnded`.
    func wrote(_ position: Position, in group: GroupName) {
        if starts[group].map({ $0.isComparable(to: position) }) != true {
            starts[group] = Position(
                epoch: position.epoch, history: position.history, offset: max(position.offset, 1) - 1)
        }
        proof.wrote(position, in: group)
    }

    /// Call when messages of the group were not written: later proofs say nothing of them.
    func missed(_ group: GroupName) { starts[group] = nil }

    /// Queues a ping behind the messages, if one is due.
    func batchEnded() { ping(proof.batchEnded()) }

    func left(_ group: GroupName) {
        starts[group] = nil
        proof.left(group)
    }

    func pong(_ payload: ByteBuffer) {
        guard let token = DeliveryProof.Token(payload), case .proven(let positions, let next) = proof.pong(token) else {
            return
        }
        for (group, position) in positions {
            shard.state.backplane.confirm(
                Confirmation(group: group, user: transport.user, position: position, after: start(of: position, group)))
        }
        ping(next)
    }

    /// Where a proof begins. After a loss that came behind the ping only its last message is certain.
    private func start(of position: Position, _ group: GroupName) -> UInt64 {
        guard let start = starts[group], start.isComparable(to: position), start.offset < position.offset else {
            return max(position.offset, 1) - 1
        }
        return start.offset
    }

    /// The ping frame for the keep-alive; nil: it needs no payload.
    func keepAlivePing() -> ByteBuffer? { proof.keepAliveIsDue().map { FrameWriter.ping($0.payload) } }

    func pauseEnded() { ping(proof.pauseEnded()) }

    /// Call when the connection has ended: it is not written to any more.
    func end() { isEnded = true }

    private func ping(_ token: DeliveryProof.Token?) {
        guard let token, !isEnded, transport.isOpen else { return }
        transport.write(FrameWriter.ping(token.payload))
        shard.pause(self)
    }
}

@available(*, unavailable) extension DeliveryProver: Sendable {}

extension DeliveryProof.Token {
    /// nil: not a payload of this form.
    init?(_ payload: ByteBuffer) {
        var payload = payload
        guard payload.readableBytes == 16, let salt: UInt64 = payload.readInteger(),
            let number: UInt64 = payload.readInteger()
        else { return nil }
        self.init(salt: salt, number: number)
    }

    var payload: ByteBuffer {
        var payload = ByteBufferAllocator().buffer(capacity: 16)
        payload.writeInteger(salt)
        payload.writeInteger(number)
        return payload
    }
}
