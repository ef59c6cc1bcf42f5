import Broker
import NIOCore
import Testing

@testable import ChannelLayer

struct StampTests {
    private func stamp(_ text: String) -> Stamp? { Stamp(ByteBuffer(string: text)) }

    @Test func `A stamp is a position, of a message in the log`() {
        #expect(stamp("5f3a90c1.9c01ab23de:17")?.position == Position("5f3a90c1.9c01ab23de:17"))
        #expect(stamp("5f3a90c1.9c01ab23de:17")?.isLogged == true)
    }

    @Test func `It says when no log has the message`() {
        #expect(stamp("5f3a90c1.9c01ab23de:17 live")?.position == Position("5f3a90c1.9c01ab23de:17"))
        #expect(stamp("5f3a90c1.9c01ab23de:17 live")?.isLogged == false)
    }

    @Test(arguments: [
        "", " ", "live", " live", "e", "1.2:3e", "1.2:3 liv", "1.2:3 dive", "1.2:3  live", "1.2:3 live ", "1.2:3live",
    ])
    func `Anything else is somebody else's entry`(text: String) {
        #expect(stamp(text) == nil)
    }
}
