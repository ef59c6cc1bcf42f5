import NIOCore

/// One WebSocket client of a bench: performs the handshake, then counts frames as they arrive.
///
/// Stays on its channel's loop, as does the tally that it shares with the loop's other clients. Reads only what a server may
/// send (RFC 6455, 5.2): complete, unmasked frames.
final class BenchClient: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case shaking(EventLoopPromise<Void>)
        case open
        case ended
    }

    private let target: BenchTarget
    private let message: BenchMessage
    private let tally: BenchTally
    private var state: State
    private var rest = ByteBuffer()
    private var window = SequenceWindow()

    init(_ target: BenchTarget, _ message: BenchMessage, _ tally: BenchTally, ready: EventLoopPromise<Void>) {
        (self.target, self.message, self.tally) = (target, message, tally)
        state = .shaking(ready)
    }

    func channelActive(context: ChannelHandlerContext) {
        tally.channels.append(context.channel)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: target.request)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if rest.readableBytes > 0 {
            rest.writeBuffer(&bytes)
            swap(&rest, &bytes)
        }
        if case .shaking(let ready) = state, !readAnswer(&bytes, ready) {
            rest = bytes
            return
        }
        while case .open = state, readFrame(&bytes, context) {}
        bytes.discardReadBytes()
        rest = bytes
    }

    /// False: the response head is incomplete, or it was a refusal.
    private func readAnswer(_ bytes: inout ByteBuffer, _ ready: EventLoopPromise<Void>) -> Bool {
        let view = bytes.readableBytesView
        guard let end = view.firstRange(of: "\r\n\r\n".utf8) else {
            // A server of another protocol may never send an empty line.
            let begin = String(decoding: view.prefix(64), as: UTF8.self)
            if !begin.hasPrefix("HTTP/1.".prefix(begin.count)) { fail(ready, target.refusal(begin)) }
            return false
        }
        let head = String(decoding: view[..<end.lowerBound], as: UTF8.self)
        let status = head.prefix { $0 != "\r\n" }
        guard status.hasPrefix("HTTP/1.1 101"), head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") else {
            fail(ready, target.refusal(String(status)))
            return false
        }
        bytes.moveReaderIndex(to: end.upperBound)
        state = .open
        tally.counts.ready += 1
        ready.succeed()
        return true
    }

    /// False: no complete frame is left.
    private func readFrame(_ bytes: inout ByteBuffer, _ context: ChannelHandlerContext) -> Bool {
        let start = bytes.readerIndex
        guard let first: UInt8 = bytes.readInteger(), let second: UInt8 = bytes.readInteger(),
            let length = readLength(second & 0x7F, &bytes), let payload = bytes.readSlice(length: length)
        else {
            bytes.moveReaderIndex(to: start)
            return false
        }
        switch first & 0x0F {
        case 1: received(payload.readableBytesView)
        case 8:
            send(8, payload, context)
            context.close(promise: nil)
        case 9: send(10, payload, context)
        default: break
        }
        return true
    }

    private func readLength(_ short: UInt8, _ bytes: inout ByteBuffer) -> Int? {
        switch short {
        case 126: bytes.readInteger(as: UInt16.self).map(Int.init)
        case 127: bytes.readInteger(as: Int64.self).map { Int($0) }
        default: Int(short)
        }
    }

    private func received(_ payload: ByteBufferView) {
        guard let (number, due) = message.decoded(payload) else { return }
        guard number > 0 else {
            tally.counts.greeted += 1
            return
        }
        guard window.insert(number) else {
            tally.counts.duplicates += 1
            return
        }
        let now = NIODeadline.now().uptimeNanoseconds
        tally.counts.delivered += 1
        tally.counts.latency.record(now > due ? now - due : 0)
    }

    /// Sends a control frame: at most 125 bytes, masked as a client's must be.
    private func send(_ opcode: UInt8, _ payload: ByteBuffer, _ context: ChannelHandlerContext) {
        let mask = UInt32.random(in: 0...UInt32.max)
        let key = withUnsafeBytes(of: mask.bigEndian) { Array($0) }
        var frame = ByteBuffer()
        frame.writeBytes([0x80 | opcode, 0x80 | UInt8(payload.readableBytes & 0x7F)])
        frame.writeBytes(key)
        frame.writeBytes(payload.readableBytesView.enumerated().lazy.map { $1 ^ key[$0 & 3] })
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        switch state {
        case .shaking(let ready):
            fail(ready, CommandFailure("\(target.authority) closed a connection during the handshake"))
        case .open: tally.counts.closed += 1
        case .ended: break
        }
        state = .ended
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .shaking(let ready) = state { fail(ready, CommandFailure("\(target.authority): \(error)")) }
        context.close(promise: nil)
    }

    private func fail(_ ready: EventLoopPromise<Void>, _ error: CommandFailure) {
        state = .ended
        ready.fail(error)
    }
}

/// Shared by the clients of one event loop, and used only on it.
final class BenchTally {
    var counts = BenchCounts()
    var channels: [any Channel] = []
}
