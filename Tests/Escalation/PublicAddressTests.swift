import Testing

@testable import Escalation

/// Which addresses are of the public Internet.
struct PublicAddressTests {
    private func isPublic(_ text: String) throws -> Bool {
        PublicAddress.whyNot(try #require(IPAddress(text), "\(text)")) == nil
    }

    @Test(arguments: [
        "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255",
        "192.169.0.0", "198.17.255.255", "198.20.0.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
        "2000::", "2001:200::1", "2606:4700::1111", "2a00:1450:4001::1", "3ffe::1",
        "64:ff9b::8.8.8.8",
    ])
    func `Neighbours of special blocks are public`(text: String) throws { #expect(try isPublic(text)) }

    @Test(arguments: [
        "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
        "127.255.255.255", "169.254.169.254", "172.16.0.0", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1",
        "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.0", "192.168.255.255", "192.175.48.1", "198.18.0.0",
        "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::2", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::1", "100::1", "100:0:0:1::1", "2001::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1",
        "2002:7f00:1::1", "2620:4f:8000::1", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "febf::1",
        "fec0::1",
        "ff02::1", "1fff::1", "4000::1", "8000::1",
    ])
    func `Special-purpose addresses are not`(text: String) throws { #expect(try !isPublic(text)) }

    @Test func `Every first byte of IPv6 outside 2000::/3 is refused`() throws {
        for byte in UInt8.min...UInt8.max where byte >> 5 != 1 {
            let address = IPAddress(bytes: [byte] + [UInt8](repeating: 0x11, count: 15))
            #expect(PublicAddress.whyNot(address) != nil, "\(address)")
        }
    }

    @Test(arguments: [
        "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.01", "1.2.3.4.5", " 1.2.3.4", "1.2.3.4 ",
        "fe80::1%eth0", "[::1]", "",
        "1.2.3.256", "1.1.1.1\0",
    ])
    func `Only the strict forms are addresses`(text: String) { #expect(IPAddress(text) == nil) }

    @Test func `Blocks contain what shares their prefix`() throws {
        let block = try AddressBlock("10.1.2.0/23")
        for (address, isInside) in [
            ("10.1.2.0", true), ("10.1.3.255", true), ("10.1.4.0", false), ("::10.1.2.0", false),
        ] {
            #expect(block.contains(try #require(IPAddress(address))) == isInside)
        }
        #expect(try AddressBlock("::1").description == "::1/128")
        #expect(try AddressBlock("0.0.0.0/0").contains(#require(IPAddress("255.1.2.3"))))
    }

    @Test(arguments: ["", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8/8", "localhost"])
    func `Other texts are no blocks`(text: String) {
        #expect(throws: EscalationError.self) { try AddressBlock(text) }
    }

    @Test func `Private networks can be allowed`() throws {
        let policy = OutboundPolicy(allowedPrivateNetworks: [try AddressBlock("127.0.0.0/8")])
        #expect(policy.whyNot(try #require(IPAddress("127.0.0.1"))) == nil && policy.allowsLocalhost)
        #expect(policy.whyNot(try #require(IPAddress("10.0.0.1"))) == "private use")
        #expect(!OutboundPolicy().allowsLocalhost)
    }
}
