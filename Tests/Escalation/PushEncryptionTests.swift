import Broker
import Crypto
import NIOCore
import Testing

@testable import Escalation

/// The vectors of RFC 8188 and RFC 8291.
struct PushEncryptionTests {
    private func bytes(_ text: String) throws -> [UInt8] { try #require(Base64.url.decode(Array(text.utf8))) }

    @Test func `The first example of RFC 8188 is reproduced`() throws {
        let content = EncryptedContent(
            material: SymmetricKey(data: try bytes("yqdlZ-tYemfogSmv7Ws5PQ")),
            salt: try bytes("I1BsxtFttlv3u_Oo94xnmw"),
            keyID: [], recordSize: 4096)
        let sealed = Base64.url.encode(try content.seal("I am the walrus".utf8))
        #expect(sealed == "I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg")
    }

    private func example() throws -> (PushEncryption, PushSubscription) {
        let key = try P256.KeyAgreement.PrivateKey(
            rawRepresentation: bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
        let subscription = try PushSubscription(
            endpoint: PushSubscriptionTests.endpoint, p256dh: PushSubscriptionTests.p256dh,
            auth: PushSubscriptionTests.auth)
        return (PushEncryption(key: key, salt: try bytes("DGv6ra1nlYgDCS1FRnbzlw")), subscription)
    }

    @Test func `The example of RFC 8291 is reproduced`() throws {
        let (encryption, subscription) = try example()
        let sealed = try encryption.seal(
            ByteBuffer(string: "When I grow up, I want to be a watermelon"), for: subscription)
        #expect(
            Base64.url.encode(Array(sealed.readableBytesView))
                == "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3"
                + "jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN")
    }

    @Test func `The longest payload makes the longest body, and a longer one is refused`() throws {
        let (encryption, subscription) = try example()
        #expect(WebPush.maximumPayload == 3993)
        let longest = ByteBuffer(repeating: 0x61, count: WebPush.maximumPayload)
        #expect(try encryption.seal(longest, for: subscription).readableBytes == 4096)
        #expect(throws: (any Error).self) {
            try PushEncryption().seal(ByteBuffer(repeating: 0x61, count: 4096), for: subscription)
        }
    }

    @Test func `No two messages have the same salt or key`() throws {
        let (_, subscription) = try example()
        let sealed = try (0..<10).map { _ in
            Array(try PushEncryption().seal(ByteBuffer(string: "x"), for: subscription).readableBytesView)
        }
        #expect(Set(sealed.map { Array($0[..<16]) }).count == 10)
        #expect(Set(sealed.map { Array($0[21..<86]) }).count == 10)
    }
}
