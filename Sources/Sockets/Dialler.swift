import CSockets
import Dispatch
import Glibc
public import NIOCore

/// Connects a plain socket, trying the host's addresses in turn until one answers. Lives on its loop.
public final class Dialler: LoopSocket {
    public enum Destination: Sendable {
        case host(String, port: Int)
        case path(String)
    }

    private let loop: SocketLoop
    private let watermark: PlainSocket.Watermark
    private let promise: EventLoopPromise<NIOLoopBound<PlainSocket>>
    private var addresses: [csockets_address] = []
    private var descriptor: CInt = -1
    private var patience: Scheduled<Void>?

    /// Connects. The socket has no owner yet, and reports nothing until it is started.
    ///
    /// - Parameter timeout: for everything, including name resolution.
    /// - Throws (in the future): `DialError`.
    public static func dial(
        _ destination: Destination, timeout: TimeAmount, loop: SocketLoop, watermark: PlainSocket.Watermark
    ) -> EventLoopFuture<NIOLoopBound<PlainSocket>> {
        loop.assertInEventLoop()
        let dialler = Dialler(loop, watermark)
        dialler.patience = loop.assumeIsolated().scheduleTask(in: timeout) { dialler.fail("no answer in time") }
        dialler.resolve(destination)
        return dialler.promise.futureResult
    }

    private init(_ loop: SocketLoop, _ watermark: PlainSocket.Watermark) {
        self.loop = loop
        self.watermark = watermark
        promise = loop.makePromise()
    }

    /// The resolver blocks, so it runs on another thread.
    private func resolve(_ destination: Destination) {
        let bound = NIOLoopBound(self, eventLoop: loop)
        let loop = loop
        switch destination {
        case .path(let path):
            var address = csockets_address()
            guard csockets_path(path, &address) == 0 else { return fail("the socket's path is too long") }
            addresses = [address]
            next("no socket")
        case .host(let host, let port):
            DispatchQueue.global().async {
                var found = [csockets_address](repeating: csockets_address(), count: 8)
                let count = csockets_resolve(host, UInt16(clamping: port), &found, CInt(found.count))
                let addresses = Array(found[..<Int(count)])
                loop.execute {
                    bound.value.addresses = addresses.reversed()
                    bound.value.next("the host \(host) has no address")
                }
            }
        }
    }

    /// - Parameter reason: why the previous address failed.
    private func next(_ reason: String) {
        guard patience != nil else { return }
        guard var address = addresses.popLast() else { return fail(reason) }
        descriptor = csockets_connect(&address)
        guard descriptor >= 0 else { return next("\(SocketError(code: -descriptor))") }
        guard loop.add(self, descriptor: descriptor) else {
            csockets_close(descriptor)
            return fail("the process has too many sockets")
        }
        loop.watch(descriptor, writes: true)
    }

    func ready(_ event: csockets_event) {
        let failure = csockets_failure(descriptor)
        guard failure == 0 else {
            drop()
            return next("\(SocketError(code: -failure))")
        }
        guard event.writable else { return }
        loop.release(descriptor)
        patience?.cancel()
        patience = nil
        let socket = PlainSocket(descriptor: descriptor, peer: .none, loop: loop, watermark: watermark)
        promise.assumeIsolated().succeed(NIOLoopBound(socket, eventLoop: loop))
    }

    func close() { fail("the loop was stopped") }

    private func drop() {
        loop.remove(descriptor)
        csockets_close(descriptor)
        descriptor = -1
    }

    private func fail(_ reason: String) {
        guard patience != nil else { return }
        patience?.cancel()
        patience = nil
        if descriptor >= 0 { drop() }
        promise.fail(DialError(description: reason))
    }
}

/// Why no connection could be established.
public struct DialError: Error, CustomStringConvertible {
    public let description: String
}
