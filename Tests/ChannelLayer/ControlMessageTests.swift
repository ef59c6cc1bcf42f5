import Broker
import NIOCore
import Testing

@testable import ChannelLayer

struct ControlMessageTests {
    @Test(arguments: [
        ConnectionSelection.user("42"), .user("a \"quoted\" näme\n\u{1F600}"), .connection(ConnectionID(value: 1)),
        .connection(ConnectionID(value: .max)),
    ])
    func `What is written is read as it was meant`(selection: ConnectionSelection) {
        #expect(ControlMessage.selection(ControlMessage.end(selection)) == selection)
    }

    @Test func `It is what the page for people says`() {
        #expect(String(buffer: ControlMessage.end(.user("42"))) == #"{"event":"end","user":"42"}"#)
        #expect(
            String(buffer: ControlMessage.end(.connection(ConnectionID(value: 255))))
                == #"{"event":"end","connection":"00000000000000ff"}"#)
    }

    @Test(arguments: [
        "", "{}", "[]", "end", #"{"event":"end"}"#, #"{"event":"end","user":""}"#, #"{"event":"end","user":42}"#,
        #"{"event":"begin","user":"42"}"#, #"{"event":"end","user":"42","connection":"00000000000000ff"}"#,
        #"{"event":"end","connection":"ff"}"#, #"{"event":"end","connection":"+0000000000000ff"}"#,
        #"{"event":"end","connection":"000000000000000g"}"#, #"{"event":"end","user":null}"#,
    ])
    func `Anything else ends nobody`(text: String) {
        #expect(ControlMessage.selection(ByteBuffer(string: text)) == nil)
    }
}
