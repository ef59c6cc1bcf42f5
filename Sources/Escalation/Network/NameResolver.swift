import Glibc
import NIOCore
import NIOPosix

/// Finds a name's addresses.
protocol NameResolver: Sendable {
    /// - Throws: an error that says why there is none.
    func addresses(of host: String, before deadline: NIODeadline) async throws -> [IPAddress]
    func close() async
}

/// The system's resolver, which blocks its thread. A lookup that takes too long keeps its thread, but nobody waits for it.
struct SystemResolver: NameResolver {
    private let threads = NIOThreadPool(numberOfThreads: 4)
    private let loop: any EventLoop

    init(on loop: any EventLoop) {
        self.loop = loop
        threads.start()
    }

    func addresses(of host: String, before deadline: NIODeadline) async throws -> [IPAddress] {
        let promise = loop.makePromise(of: [IPAddress].self)
        let timer = loop.scheduleTask(deadline: deadline) {
            promise.fail(EscalationError("its name was not resolved in time"))
        }
        threads.runIfActive(eventLoop: loop) {
            guard NIODeadline.now() < deadline else { throw EscalationError("its name was not resolved in time") }
            return try Self.lookUp(host)
        }.cascade(to: promise)
        defer { timer.cancel() }
        return try await promise.futureResult.get()
    }

    /// The addresses in the resolver's order (RFC 6724).
    private static func lookUp(_ host: String) throws -> [IPAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else {
            throw EscalationError("its name has no address (\(String(cString: gai_strerror(code))))")
        }
        defer { freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var entry = list
        while let one = entry {
            if let address = one.pointee.ai_addr.flatMap(Self.address), !addresses.contains(address) {
                addresses.append(address)
            }
            entry = one.pointee.ai_next
        }
        return addresses
    }

    private static func address(_ socket: UnsafeMutablePointer<sockaddr>) -> IPAddress? {
        switch Int32(socket.pointee.sa_family) {
        case AF_INET:
            socket.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                IPAddress(bytes: withUnsafeBytes(of: $0.pointee.sin_addr, Array.init))
            }
        case AF_INET6:
            socket.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                IPAddress(bytes: withUnsafeBytes(of: $0.pointee.sin6_addr, Array.init))
            }
        default: nil
        }
    }

    func close() async { try? await threads.shutdownGracefully() }
}
