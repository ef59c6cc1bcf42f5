import CSockets
import Glibc
public import NIOCore

/// An unencrypted TCP or Unix connection: a descriptor and its write queue.
///
/// Each flush takes one system call, however many messages are queued. Lives on its loop.
public final class PlainSocket: StreamSocket, LoopSocket {
    // What a delivery reads comes first, so that it shares a cache line with the object's header.
    private let descriptor: CInt
    private var state = State.open
    private var isFull = false
    /// The kernel accepts no more bytes; the loop reports when it does.
    private var isBlocked = false
    private var queue = WriteQueue()
    public let peer: PeerAddress
    public var owner: (any StreamSocketOwner)?
    private let loop: SocketLoop
    private let watermark: Watermark

    private enum State {
        case open
        /// Sends everything that is queued, then ends the sending side.
        case finishing
        /// The sending side has ended; the peer has to close.
        case finished
        case closed
    }

    /// Limits on the bytes queued for one socket.
    public struct Watermark: Sendable {
        var low: Int
        var high: Int

        public init(low: Int, high: Int) {
            self.low = low
            self.high = high
        }
    }

    /// Takes ownership of the descriptor.
    public init(descriptor: CInt, peer: PeerAddress, loop: SocketLoop, watermark: Watermark) {
        self.descriptor = descriptor
        self.peer = peer
        self.loop = loop
        self.watermark = watermark
    }

    /// Registers with the loop. Returns false, with the socket closed, when the kernel accepts no more sockets.
    public func start() -> Bool {
        if loop.add(self, descriptor: descriptor) { return true }
        state = .closed
        csockets_close(descriptor)
        return false
    }

    // MARK: Writing

    public var isWritable: Bool { state == .open && !isFull }
    public var pendingBytes: Int { queue.byteCount }
    public var unansweredSeconds: Int { state == .closed ? 0 : Int(csockets_unanswered(descriptor)) / 1000 }

    public func write(_ bytes: ByteBuffer) {
        guard state == .open else { return }
        queue.append(bytes)
        if queue.byteCount > watermark.high { isFull = true }
    }

    /// Sends directly if nothing is queued: bytes that the kernel takes are never queued.
    public func send(_ bytes: ByteBuffer) {
        var left = bytes
        if state == .open, queue.byteCount == 0 {
            let count = bytes.withUnsafeReadableBytes { csockets_send(descriptor, $0.baseAddress, $0.count) }
            if count == bytes.readableBytes { return }
            // An error will show again at the flush.
            if count > 0 { left.moveReaderIndex(forwardBy: count) }
        }
        write(left)
        flush()
    }

    public func flush() {
        guard state == .open || state == .finishing, !isBlocked else { return }
        do {
            if try !queue.send(to: Descriptor(number: descriptor)) {
                isBlocked = true
                loop.watch(descriptor, writes: true)
            }
        } catch {
            return close()
        }
        if isFull, queue.byteCount <= watermark.low { hasRoomAgain() }
        if state == .finishing, !isBlocked { shutSending() }
    }

    private func hasRoomAgain() {
        isFull = false
        loop.atTurnEnd { if self.isWritable { self.owner?.becameWritable() } }
    }

    private func shutSending() {
        state = .finished
        csockets_shut_sending(descriptor)
    }

    // MARK: LoopSocket

    /// Reads what has already arrived, without a turn of the loop: a client's request often comes right after its connection.
    public func readAtOnce() { read() }

    func ready(_ event: csockets_event) {
        // Nothing is read any more, and the peer has closed its side.
        if event.ended, state == .finished { return close() }
        if event.writable, isBlocked, state != .closed {
            isBlocked = false
            flush()
            if !isBlocked, state != .closed { loop.watch(descriptor, writes: false) }
        }
        if event.readable { read() }
    }

    private func read() {
        guard state != .closed else { return }
        do {
            guard let bytes = try loop.receive(descriptor) else { return }
            if bytes.isEmpty { return close() }
            owner?.received(ByteBuffer(bytes: bytes))
        } catch {
            close()
        }
    }

    // MARK: The end

    public func finish() {
        guard state == .open else { return }
        state = .finishing
        flush()
    }

    public func close() {
        guard state != .closed else { return }
        state = .closed
        loop.remove(descriptor)
        csockets_close(descriptor)
        queue = WriteQueue()
        loop.atTurnEnd {
            let owner = self.owner
            self.owner = nil
            owner?.ended()
        }
    }
}
