import NIOCore
import Sockets
import Testing

@testable import Gateway

struct ForwardedClientTests {
    private func client(_ networks: [String], _ nearest: String, _ list: [String]) throws -> String? {
        try TrustedNetworks(networks).client(
            nearest: ProxyHeaderParserTests.address(nearest), forwardedFor: list
        ).socketAddress?.ipAddress
    }

    @Test(arguments: [
        ([], "192.0.2.1"), (["203.0.113.9"], "192.0.2.1"), (["10.0.0.1", "10.0.0.2"], "192.0.2.1"),
    ])
    func `A peer that is not trusted is the client, whatever it claims`(list: [String], expected: String) throws {
        #expect(try client(["10.0.0.0/8"], "192.0.2.1", list) == expected)
        #expect(try client([], "192.0.2.1", list) == expected)
    }

    @Test(arguments: [
        ([], "10.0.0.1"), (["203.0.113.9"], "203.0.113.9"), ([" 203.0.113.9\t"], "203.0.113.9"),
        (["198.51.100.7, 203.0.113.9"], "203.0.113.9"), (["198.51.100.7", "203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9, 10.0.0.2, 10.0.0.3"], "203.0.113.9"), (["10.0.0.3, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        (["10.0.0.2"], "10.0.0.2"), (["203.0.113.9:4711"], "203.0.113.9"), (["2001:db8::1"], "2001:db8::1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"), (["[2001:db8::1]"], "2001:db8::1"),
        (["203.0.113.9, unknown"], "10.0.0.1"), (["203.0.113.9, "], "10.0.0.1"),
        (["203.0.113.9, _x, 10.0.0.2"], "10.0.0.2"),
        (["::ffff:203.0.113.9"], "203.0.113.9"), (["203.0.113.9, ::ffff:10.0.0.2"], "203.0.113.9"),
    ])
    func `Behind trusted proxies it is the rightmost address that is not trusted`(list: [String], expected: String)
        throws
    {
        #expect(try client(["10.0.0.0/8"], "10.0.0.1", list) == expected)
    }
}
