import CSockets
import Dispatch
import Glibc
public import NIOCore

/// Connects a plain socket: the host's addresses one after the other, in the resolver's order, until one answers. Lives on its
/// loop.
public final class Dialler: LoopSocket {
    /// Finds the addresses of a host, none when it has none, and answers once, from any thread.
    typealias Resolver =
        @Sendable (_ host: String, _ port: UInt16, _ answer: @escaping @Sendable ([csockets_address]) -> Void) -> Void

    public enum Destination: Sendable {
        case host(String, port: Int)
        case path(String)
    }

    private let loop: SocketLoop
    private let watermark: PlainSocket.Watermark
    private let promise: EventLoopPromise<NIOLoopBound<PlainSocket>>
    private let resolver: Resolver
    private var addresses: [csockets_address] = []
    private var descriptor: CInt = -1
    private var patience: Scheduled<Void>?

    /// Connects. The socket has no owner yet, and reports nothing until it is started.
    ///
    /// - Parameter timeout: for all of it, finding the addresses too.
    /// - Throws (in the future): `DialError`: why the last address did not answer, that the time is over, or that the loop was
    ///   stopped.
    public static func dial(
        _ destination: Destination, timeout: TimeAmount, loop: SocketLoop, watermark: PlainSocket.Watermark
    ) -> EventLoopFuture<NIOLoopBound<PlainSocket>> {
        dial(destination, timeout: timeout, loop: loop, watermark: watermark, resolver: systemResolver)
    }

    static func dial(
        _ destination: Destination, timeout: TimeAmount, loop: SocketLoop, watermark: PlainSocket.Watermark,
        resolver: @escaping Resolver
    ) -> EventLoopFuture<NIOLoopBound<PlainSocket>> {
        loop.assertInEventLoop()
        let dialler = Dialler(loop, watermark, resolver)
        let patience = loop.assumeIsolated().scheduleTask(in: timeout) { dialler.fail("no answer in time") }
        dialler.patience = patience
        // Until there is a socket, the loop knows of the dialler by its timer alone.
        patience.futureResult.assumeIsolated().whenFailure { error in
            if error as? EventLoopError == .shutdown { dialler.close() }
        }
        dialler.resolve(destination)
        return dialler.promise.futureResult
    }

    /// The system's makes its caller wait, so it is asked on another thread.
    static let systemResolver: Resolver = { host, port, answer in
        DispatchQueue.global().async { answer(addresses(of: host, port)) }
    }

    static func addresses(of host: String, _ port: UInt16) -> [csockets_address] {
        var found = [csockets_address](repeating: csockets_address(), count: 8)
        let count = csockets_resolve(host, port, &found, CInt(found.count))
        return Array(found[..<Int(count)])
    }

    private init(_ loop: SocketLoop, _ watermark: PlainSocket.Watermark, _ resolver: @escaping Resolver) {
        self.loop = loop
        self.watermark = watermark
        self.resolver = resolver
        promise = loop.makePromise()
    }

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
            resolver(host, UInt16(clamping: port)) { addresses in
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
