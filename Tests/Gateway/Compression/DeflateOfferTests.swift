import NIOCore
import NIOHTTP1
import Testing

@testable import Gateway

/// Sec-WebSocket-Extensions: parsing, negotiation and response.
struct DeflateOfferTests {
    private func configuration(windowBits: Int = 15) -> CompressionConfiguration {
        var configuration = CompressionConfiguration()
        configuration.isEnabled = true
        configuration.windowBits = windowBits
        return configuration
    }

    /// The response's parameters after the two that are always there; `-` for no compression, `400` for a handshake that is
    /// refused.
    private func answer(_ fields: [String], windowBits: Int = 15) -> String {
        do throws(Refusal) {
            guard let agreement = try DeflateAgreement.negotiate(fields, configuration(windowBits: windowBits)) else {
                return "-"
            }
            let always = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            #expect(agreement.response.hasPrefix(always))
            return String(agreement.response.dropFirst(always.count))
        } catch {
            #expect(error.status == .badRequest)
            return "400"
        }
    }

    private static let offers: [(field: String, answer: String)] = [
        // Browsers.
        ("permessage-deflate; client_max_window_bits", ""), ("permessage-deflate", ""),
        // Every parameter.
        ("permessage-deflate; server_no_context_takeover", ""), ("permessage-deflate; client_no_context_takeover", ""),
        ("permessage-deflate; client_max_window_bits=8", ""), ("permessage-deflate; client_max_window_bits=15", ""),
        ("permessage-deflate; server_max_window_bits=15", "; server_max_window_bits=15"),
        ("permessage-deflate; server_max_window_bits=14", "; server_max_window_bits=9"),
        ("permessage-deflate; server_max_window_bits=9", "; server_max_window_bits=9"),
        (
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=12; server_no_context_takeover; "
                + "client_no_context_takeover", "; server_max_window_bits=9"
        ),
        // zlib has no window of 8 bits.
        ("permessage-deflate; server_max_window_bits=8", "-"),
        // Quoted values, spaces, tabs, empty elements.
        (#"permessage-deflate; server_max_window_bits="10""#, "; server_max_window_bits=9"),
        (#"permessage-deflate; server_max_window_bits="1\0""#, "; server_max_window_bits=9"),
        ("\t permessage-deflate\t;server_max_window_bits = 10 ", "; server_max_window_bits=9"),
        (", ,permessage-deflate,,", ""),
        // Bad values.
        ("permessage-deflate; server_max_window_bits", "-"), ("permessage-deflate; server_max_window_bits=7", "-"),
        ("permessage-deflate; server_max_window_bits=16", "-"), ("permessage-deflate; server_max_window_bits=09", "-"),
        ("permessage-deflate; server_max_window_bits=+9", "-"), ("permessage-deflate; server_max_window_bits=1.5", "-"),
        ("permessage-deflate; server_max_window_bits=99999999999999999999", "-"),
        ("permessage-deflate; client_max_window_bits=7", "-"), ("permessage-deflate; client_max_window_bits=16", "-"),
        ("permessage-deflate; client_max_window_bits=015", "-"), ("permessage-deflate; client_max_window_bits=x", "-"),
        ("permessage-deflate; server_no_context_takeover=1", "-"),
        (#"permessage-deflate; client_no_context_takeover="true""#, "-"),
        // Repeated or unknown parameters.
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", "-"),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", "-"),
        ("permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", "-"),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits=10", "-"),
        ("permessage-deflate; level=9", "-"), ("permessage-deflate; Server_no_context_takeover", "-"),
        // Other extensions.
        ("x-webkit-deflate-frame", "-"), ("permessage-bzip2; x=1; x=1", "-"), ("PerMessage-Deflate", "-"),
        ("foo; bar=\"baz\", permessage-deflate, permessage-snappy", ""),
        // The first offer that can be met.
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", ""),
        (
            "permessage-deflate; server_max_window_bits=99, permessage-deflate; server_max_window_bits=11",
            "; server_max_window_bits=9"
        ),
        ("permessage-deflate; level=9, permessage-deflate; server_max_window_bits=8", "-"),
        // Malformed extension fields (RFC 6455 section 9.1).
        ("permessage-deflate;", "400"), ("permessage-deflate; =9", "400"), (";", "400"),
        ("permessage-deflate x", "400"),
        ("permessage-deflate; server_max_window_bits=", "400"), ("permessage-deflate; a=\"", "400"),
        (#"permessage-deflate; a="""#, "400"), (#"permessage-deflate; a="1 2""#, "400"), ("a=b", "400"),
        ("\"a\"", "400"),
        (#"permessage-deflate; a="1\"#, "400"), ("permessage-deflate, (", "400"), ("ë", "400"), ("a; b=c d", "400"),
    ]

    @Test(arguments: offers)
    func `An offer is answered as RFC 7692 section 7.1 says`(field: String, answer: String) {
        #expect(self.answer([field]) == answer, "\(field)")
    }

    @Test func `Several fields are one list`() {
        #expect(answer(["foo", "permessage-deflate; server_max_window_bits=9"]) == "; server_max_window_bits=9")
        #expect(answer(["permessage-deflate; server_max_window_bits=8", "permessage-deflate"]) == "")
        #expect(answer(["permessage-deflate", "("]) == "400")
        #expect(answer([""]) == "-")
        #expect(answer([]) == "-")
    }

    @Test func `A smaller window of ours is announced, whether the client asked or not`() {
        #expect(answer(["permessage-deflate"], windowBits: 12) == "; server_max_window_bits=12")
        #expect(
            answer(["permessage-deflate; server_max_window_bits=13"], windowBits: 12) == "; server_max_window_bits=12")
        #expect(
            answer(["permessage-deflate; server_max_window_bits=12"], windowBits: 12) == "; server_max_window_bits=12")
        #expect(
            answer(["permessage-deflate; server_max_window_bits=11"], windowBits: 12) == "; server_max_window_bits=9")
        #expect(answer(["permessage-deflate; server_max_window_bits=9"], windowBits: 9) == "; server_max_window_bits=9")
        #expect(answer(["permessage-deflate; server_max_window_bits=8"], windowBits: 9) == "-")
    }

    @Test func `The window that is agreed on is the one of the answer`() throws {
        let full = try DeflateAgreement.negotiate(["permessage-deflate"], configuration(windowBits: 12))
        #expect(full?.window == .full)
        let small = try DeflateAgreement.negotiate(
            ["permessage-deflate; server_max_window_bits=11"], configuration(windowBits: 12))
        #expect(small?.window == .small)
        #expect(DeflateWindow.full.bits(configuration(windowBits: 12)) == 12)
        #expect(DeflateWindow.small.bits(configuration(windowBits: 12)) == 9)
    }

    @Test func `Where compression is off nothing is answered, and nothing read`() throws {
        #expect(try DeflateAgreement.negotiate(["permessage-deflate"], CompressionConfiguration()) == nil)
        #expect(try DeflateAgreement.negotiate(["("], CompressionConfiguration()) == nil)
    }

    @Test func `What was agreed on is in the answer`() throws {
        let agreement = try DeflateAgreement.negotiate(["permessage-deflate"], configuration())
        let answer = String(buffer: SwitchingAnswer.webSocket(key: "dGhlIHNhbXBsZSBub25jZQ==", deflate: agreement))
        #expect(answer.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n") && answer.hasSuffix("\r\n\r\n"))
        #expect(
            answer.contains(
                "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                    + "client_no_context_takeover\r\n"))
        #expect(!String(buffer: SwitchingAnswer.webSocket(key: "k")).contains("Extensions"))
    }
}
