import NIOCore
import NIOHTTP1
import Sockets
import Synchronization
import TestSupport
import Testing

@testable import Gateway

/// The PROXY protocol on the client port without TLS.
struct ProxyServerTests {
    /// Accepts everybody, and records the requests.
    private final class Witness: Authenticator {
        let seen = Mutex<[LoginRequest]>([])

        func identify(_ request: LoginRequest) async throws(LoginFailure) -> Identity {
            seen.withLock { $0.append(request) }
            return Identity(user: "u")
        }

        var last: (peer: String?, client: String?) {
            seen.withLock { ($0.last?.peer?.ipAddress, $0.last?.client?.ipAddress) }
        }
    }

    private func run(
        trusted: [String] = ["127.0.0.0/8"], proxyProtocol: Bool = true,
        _ body: (GatewayHouse, Witness) async throws -> Void
    ) async throws {
        let witness = Witness()
        let networks = try TrustedNetworks(trusted)
        try await GatewayHouse.run(
            [try GatewayHouse.route("/ws/{room}", ["{room}"], auth: ["w"])],
            authenticators: { _ in
                [
                    "w": witness,
                    "lb": HeaderAuthenticator(header: "X-Remote-User", trusted: networks),
                ]
            },
            change: {
                $0.trustedProxies = networks
                $0.proxyProtocol = proxyProtocol
            }
        ) { try await body($0, witness) }
    }

    private func status(_ house: GatewayHouse, _ bytes: [UInt8], _ headers: [String] = []) async throws -> Int {
        let raw = try await RawClient.connect(port: house.port)
        try await raw.send(bytes + Array(GatewayHouse.handshake("/ws/a", headers).utf8))
        let status = try await Browser(raw: raw).head().status
        await raw.close()
        return status
    }

    @Test func `The client is whom the header names, and the peer stays the proxy`() async throws {
        try await run { house, witness async throws in
            for (bytes, source) in ProxyHeaderParserTests.good {
                #expect(try await status(house, bytes) == 101)
                #expect(witness.last.peer == "127.0.0.1")
                let expected = source?.socketAddress?.ipAddress ?? "127.0.0.1"
                #expect(witness.last.client == expected)
            }
        }
    }

    @Test func `X-Forwarded-For counts only when the address of the header is trusted too`() async throws {
        try await run { house, witness async throws in
            let forged = ["X-Forwarded-For: 198.51.100.7"]
            let far = Array("PROXY TCP4 192.0.2.1 192.0.2.2 12345 443\r\n".utf8)
            #expect(try await status(house, far, forged) == 101)
            #expect(witness.last.client == "192.0.2.1")
            let near = Array("PROXY TCP4 127.0.0.9 192.0.2.2 12345 443\r\n".utf8)
            #expect(try await status(house, near, forged) == 101)
            #expect(witness.last.client == "198.51.100.7")
        }
        try await run(proxyProtocol: false) { house, witness async throws in
            #expect(try await status(house, [], ["X-Forwarded-For: 10.9.9.9, 198.51.100.7"]) == 101)
            #expect(witness.last.peer == "127.0.0.1")
            #expect(witness.last.client == "198.51.100.7")
        }
    }

    @Test func `A header byte by byte is as good`() async throws {
        try await run { house, witness async throws in
            let raw = try await RawClient.connect(port: house.port)
            let header = Array("PROXY TCP4 192.0.2.1 192.0.2.2 12345 443\r\n".utf8)
            for byte in header + Array(GatewayHouse.handshake("/ws/a").utf8) { try await raw.send([byte]) }
            #expect(try await Browser(raw: raw).head().status == 101)
            #expect(witness.last.client == "192.0.2.1")
            await raw.close()
        }
    }

    @Test func `A trusted proxy without a header is refused, and so is a header of somebody else`() async throws {
        try await run { house, _ async throws in
            #expect(try await house.answer(GatewayHouse.handshake("/ws/a")).status == 400)
            #expect(house.refusals("proxy_header") == 1)
        }
        try await run(trusted: ["10.0.0.0/8"]) { house, witness async throws in
            let header = "PROXY TCP4 192.0.2.1 192.0.2.2 12345 443\r\n"
            #expect(try await house.answer(header + GatewayHouse.handshake("/ws/a")).status == 400)
            #expect(house.refusals("malformed") == 1)
            #expect(try await status(house, [], ["X-Forwarded-For: 198.51.100.7"]) == 101)
            #expect(witness.last.client == "127.0.0.1")
        }
    }

    @Test func `A trusted proxy that says nothing is not waited for`() async throws {
        let networks = try TrustedNetworks(["127.0.0.1"])
        try await GatewayHouse.run(
            change: {
                $0.trustedProxies = networks
                $0.proxyProtocol = true
                $0.handshakeSeconds = 1
            }
        ) { house in
            let raw = try await RawClient.connect(port: house.port)
            #expect(try await raw.rest() == "")
            #expect(house.refusals("timeout") == 1)
        }
    }

    @Test func `Nobody becomes trusted by what X-Forwarded-For says`() async throws {
        let login = HeaderAuthenticator(header: "X-Remote-User", trusted: try TrustedNetworks(["10.0.0.0/8"]))
        var request = LoginRequest(uri: "/", headers: ["X-Remote-User": "root"], peer: nil, client: nil)
        request.peer = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
        request.client = try SocketAddress(ipAddress: "10.0.0.1", port: 1)
        await #expect(throws: LoginFailure.self) { try await login.identify(request) }
        request.peer = try SocketAddress(ipAddress: "10.0.0.1", port: 1)
        request.client = try SocketAddress(ipAddress: "192.0.2.1", port: 1)
        #expect(try await login.identify(request).user == "root")
    }
}
