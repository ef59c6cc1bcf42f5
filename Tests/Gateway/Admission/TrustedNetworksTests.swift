import NIOCore
import Testing

@testable import Gateway

struct TrustedNetworksTests {
    private func contains(_ networks: [String], _ address: String) throws -> Bool {
        try TrustedNetworks(networks).contains(SocketAddress(ipAddress: address, port: 1234))
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.0.0.0", true), ("10.0.0.0/8", "10.255.255.255", true), ("10.0.0.0/8", "11.0.0.0", false),
        ("10.0.0.0/8", "9.255.255.255", false), ("192.168.1.128/25", "192.168.1.128", true),
        ("192.168.1.128/25", "192.168.1.127", false), ("172.16.0.0/12", "172.31.255.255", true),
        ("172.16.0.0/12", "172.32.0.0", false), ("127.0.0.1", "127.0.0.1", true), ("127.0.0.1", "127.0.0.2", false),
        ("127.0.0.1/32", "127.0.0.1", true), ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "::1", false),
        ("10.1.2.3/31", "10.1.2.2", true), ("10.1.2.3/31", "10.1.2.4", false), ("10.1.2.3/8", "10.9.9.9", true),
        ("::1/128", "::1", true), ("::1", "::2", false), ("fd00::/8", "fdff::1", true), ("fd00::/8", "fe00::1", false),
        ("2001:db8::/33", "2001:db8:7fff::", true), ("2001:db8::/33", "2001:db8:8000::", false),
        ("::/0", "2001:db8::1", true),
        ("::/0", "127.0.0.1", false), ("::ffff:10.0.0.1", "10.0.0.1", true), ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ("10.0.0.0/8", "::ffff:11.1.2.3", false),
    ])
    func `An address is in a network when its first bits are`(network: String, address: String, isIn: Bool) throws {
        #expect(try contains([network], address) == isIn)
    }

    @Test func `Any of several networks is enough, and none is nobody`() throws {
        #expect(try contains(["10.0.0.0/8", "::1"], "::1"))
        #expect(try contains(["10.0.0.0/8", "::1"], "10.0.0.1"))
        #expect(try !contains(["10.0.0.0/8", "::1"], "192.168.0.1"))
        #expect(try !contains([], "127.0.0.1"))
    }

    @Test func `A peer without an address, or on a Unix socket, is in no network`() throws {
        let everybody = try TrustedNetworks(["0.0.0.0/0", "::/0"])
        #expect(!everybody.contains(nil))
        #expect(try !everybody.contains(SocketAddress(unixDomainSocketPath: "/tmp/x")))
    }

    @Test(arguments: [
        "", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/x", "10.0.0", "10.0.0.256", "::1/129",
        "localhost",
        "example.com/8", "::g", "/8", "10.0.0.0 /8", "*",
    ])
    func `What is no network is refused by name`(text: String) {
        let error = #expect(throws: TemplateError.self) { try TrustedNetworks(["10.0.0.0/8", text]) }
        #expect(error?.description.contains("\"\(text)\"") == true)
    }
}
