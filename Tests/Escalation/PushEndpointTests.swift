import TestSupport
import Testing

@testable import Escalation

/// What may be the address of a push subscription.
struct PushEndpointTests {
    @Test(arguments: [
        ("https://fcm.googleapis.com/fcm/send/abc:def", "https://fcm.googleapis.com", "fcm.googleapis.com"),
        ("HTTPS://Push.Example.NET:443/p?x=1", "https://push.example.net", "push.example.net"),
        ("https://push.example.net:8443/p", "https://push.example.net:8443", "push.example.net"),
        ("https://8.8.8.8/p", "https://8.8.8.8", "8.8.8.8"),
        ("https://[2606:4700:0:0::1111]/p", "https://[2606:4700::1111]", "2606:4700::1111"),
        ("https://[2606:4700::1111]:444/p", "https://[2606:4700::1111]:444", "2606:4700::1111"),
        ("https://push.example.net", "https://push.example.net", "push.example.net"),
        ("https://a_b.1-2.example.xn--p1ai/", "https://a_b.1-2.example.xn--p1ai", "a_b.1-2.example.xn--p1ai"),
    ])
    func `Public hosts are accepted, in one form`(text: String, origin: String, host: String) throws {
        let endpoint = try PushEndpoint(text)
        #expect(endpoint.origin == origin)
        #expect(endpoint.host == host)
    }

    @Test func `The path stays as it is, and is not shown`() throws {
        let endpoint = try PushEndpoint("https://Push.Example.NET/Secret%2F?A=b/")
        #expect(endpoint.url == "https://push.example.net/Secret%2F?A=b/")
        #expect("\(endpoint)" == "https://push.example.net")
        #expect(try PushEndpoint("https://push.example.net?a=b").url == "https://push.example.net/?a=b")
    }

    @Test(arguments: [
        "", "push.example.net", "http://push.example.net/", "ftp://push.example.net/", "https:push.example.net",
        "https://",
        "https:///p", "https://user@push.example.net/", "https://user:pw@push.example.net/",
        "https://push.example.net@10.0.0.1/",
        "https://push.example.net:0/", "https://push.example.net:65536/", "https://push.example.net:/",
        "https://push.example.net:8a/",
        "https://push.example.net:99999999999999999999/", "https://push.example.net./", "https://push..example.net/",
        "https://.example.net/", "https://push.example.net\\@10.0.0.1/", "https://push.example.net/ a",
        "https://push.example.net/\n",
        "https://pu%73h.example.net/", "https://pusch.exämple.net/", "https://push.example.net/#f",
        "https://localhost/", "https://LOCALHOST:8443/", "https://a.localhost/", "https://intranet/",
        "https://printer.local/",
        "https://router.home.arpa/", "https://metadata.google.internal/", "https://abc.onion/",
        "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://017700000001/", "https://0/", "https://127.0.0.1./", "https://a.0x10/", "https://a.1/",
        "https://127.0.0.01/",
        "https://10.1.2.3/", "https://169.254.169.254/latest", "https://192.168.1.1/", "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://224.0.0.1/", "https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:8.8.8.8]/",
        "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fd00::1]/", "https://[2001:db8::1]/",
        "https://[8.8.8.8]/",
        "https://[::1", "https://[2606:4700::1111]x/", "https://2606:4700::1111/",
    ])
    func `Everything else is refused`(text: String) {
        #expect(throws: EscalationError.self) { try PushEndpoint(text) }
    }

    @Test func `Overlong texts and names are refused`() throws {
        let length = PushEndpoint.maximumLength
        let base = "https://push.example.net/"
        #expect(throws: EscalationError.self) {
            try PushEndpoint(base + String(repeating: "a", count: length - base.count + 1))
        }
        _ = try PushEndpoint(base + String(repeating: "a", count: length - base.count))
        #expect(throws: EscalationError.self) {
            try PushEndpoint("https://\(String(repeating: "a", count: 64)).example/")
        }
        let long = Array(repeating: "abcdefghi", count: 26).joined(separator: ".")
        #expect(throws: EscalationError.self) { try PushEndpoint("https://\(long)/") }
    }

    @Test func `The error never contains the path`() {
        for host in ["localhost", "10.0.0.1", "user@push.example.net", "push.example.net:x", "127.1", "intranet"] {
            #expect {
                try PushEndpoint("https://\(host)/capability")
            } throws: {
                !"\($0)".contains("capability")
            }
        }
    }

    @Test func `An allowed network is allowed by address, and loopback also by name`() throws {
        let policy = OutboundPolicy(allowedPrivateNetworks: [try AddressBlock("127.0.0.1"), try AddressBlock("::1")])
        #expect(try PushEndpoint("https://127.0.0.1:8443/p", policy: policy).origin == "https://127.0.0.1:8443")
        #expect(try PushEndpoint("https://[::1]:8443/p", policy: policy).origin == "https://[::1]:8443")
        #expect(try PushEndpoint("https://localhost:8443/p", policy: policy).host == "localhost")
        #expect(throws: EscalationError.self) { try PushEndpoint("https://127.0.0.2/", policy: policy) }
        #expect(throws: EscalationError.self) { try PushEndpoint("https://10.0.0.1/", policy: policy) }
    }

    @Test func `Whatever is accepted has one form, which is accepted again`() throws {
        let seeds = [
            "https://push.example.net:8443/p?x=1", "https://8.8.8.8/p", "https://[2606:4700::1111]:444/p",
            "https://127.0.0.1/",
            "https://user@0x7f.1:443/#f", "HTTPS://localhost./",
        ].map { Array($0.utf8) }
        let alphabet = Array("https://[]:@.%?#\\0x19afAZ-_\u{0}\u{7f} é".utf8)
        var generator = SeededGenerator(seed: 14)
        var accepted = 0
        for _ in 0..<50_000 {
            var text = seeds.randomElement(using: &generator)!
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                let at = Int.random(in: 0...text.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: text.insert(alphabet.randomElement(using: &generator)!, at: at)
                case 1 where at < text.count: text.remove(at: at)
                case 2 where at < text.count: text[at] = alphabet.randomElement(using: &generator)!
                default: break
                }
            }
            guard let endpoint = try? PushEndpoint(String(decoding: text, as: UTF8.self)) else { continue }
            accepted += 1
            let again = try PushEndpoint(endpoint.url)
            #expect(again == endpoint && endpoint.url.hasPrefix(endpoint.origin + "/"))
            #expect(IPAddress(endpoint.host).map(PublicAddress.whyNot) ?? nil == nil)
        }
        #expect(accepted > 5000)
    }
}
