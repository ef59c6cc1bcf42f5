import Broker
import NIOCore
import NIOEmbedded
import Sockets

@testable import Gateway

/// Whole connections, from the request's head on, over sockets that keep what their clients would see. Seconds pass when the
/// test says so.
extension SessionHouse {
    /// With a route `/ws/{room}`, and its clock running.
    static func open(
        groups: [String] = ["{room}"], receive: ReceivePolicy = .ignore,
        _ change: (inout GatewayConfiguration) -> Void = { _ in }
    ) throws -> SessionHouse {
        let route = try GatewayHouse.route("/ws/{room}", groups, receive: receive)
        let house = SessionHouse {
            $0.routes = [route]
            $0.allowedHosts = AllowedHosts(["*"])
            change(&$0)
        }
        house.shard.start()
        return house
    }

    /// A client whose request has come.
    func connect(_ request: String) -> KeptSocket {
        let socket = KeptSocket(loop)
        _ = Handshake(socket, shard: shard)
        socket.arrive(request.utf8)
        return socket
    }

    /// A WebSocket that stands.
    func webSocket(_ path: String = "/ws/g", _ headers: [String] = []) -> KeptSocket {
        let socket = connect(GatewayHouse.handshake(path, headers))
        _ = socket.take()
        return socket
    }

    /// An event stream that stands.
    func eventStream(_ path: String = "/ws/g") -> KeptSocket {
        let socket = connect("GET \(path) HTTP/1.1\r\nHost: example.com\r\nAccept: text/event-stream\r\n\r\n")
        _ = socket.take()
        return socket
    }

    func pass(seconds: Int = 1) { for _ in 0..<seconds { loop.advanceTime(by: .seconds(1)) } }

    func cut(_ reason: String) -> Int? {
        let name = "tocsin_connections_cut_total{reason=\"\(reason)\"} "
        let line = metrics.prometheusText.split(separator: "\n").first { $0.hasPrefix(name) }
        return line.flatMap { Int($0.dropFirst(name.count)) }
    }
}

/// A socket without a kernel. As a real one it tells of its end when the turn is over.
final class KeptSocket: StreamSocket {
    var owner: (any StreamSocketOwner)?
    let peer = PeerAddress.none
    var isWritable = true
    var pendingBytes: Int { queued.count }
    var unansweredSeconds = 0
    private(set) var isClosed = false
    /// Its sending side.
    private(set) var isFinished = false
    private let loop: EmbeddedEventLoop
    private var queued: [UInt8] = []
    private var flushed: [UInt8] = []

    init(_ loop: EmbeddedEventLoop) { self.loop = loop }

    func write(_ bytes: ByteBuffer) {
        if !isClosed { queued += bytes.readableBytesView }
    }

    func flush() {
        flushed += queued
        queued = []
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.execute { bound.value.tellEnd() }
    }

    private func tellEnd() {
        owner?.ended()
        owner = nil
    }

    func finish() { isFinished = true }

    // MARK: The client's side

    func arrive(_ bytes: some Sequence<UInt8>) {
        owner?.received(ByteBuffer(bytes: bytes))
        loop.run()
    }

    /// What has come since the last time.
    func take() -> [UInt8] {
        defer { flushed = [] }
        return flushed
    }

    /// What is to be taken once more.
    func give(back bytes: [UInt8]) { flushed = bytes + flushed }

    func takeText() -> String { String(decoding: take(), as: UTF8.self) }

    /// `9` for a ping, `8 1012` for a close frame with its code, `1 {}` for a text: frames of less than 64 KiB.
    func takeFrames() -> [String] {
        takeRaw().map { opcode, payload in
            switch opcode {
            case 8: "8 \(payload.prefix(2).reduce(0) { $0 << 8 | Int($1) })"
            case 1: "1 \(String(decoding: payload, as: UTF8.self))"
            default: "\(opcode)"
            }
        }
    }

    /// Opcodes and payloads.
    func takeRaw() -> [(opcode: UInt8, payload: [UInt8])] {
        var frames: [(UInt8, [UInt8])] = [], rest = take()[...]
        while let first = rest.popFirst(), let length = rest.popFirst() {
            let count = length < 126 ? Int(length) : rest.prefix(2).reduce(0) { $0 << 8 | Int($1) }
            if length >= 126 { rest = rest.dropFirst(2) }
            frames.append((first & 0x0F, Array(rest.prefix(count))))
            rest = rest.dropFirst(count)
        }
        return frames
    }
}
