import Broker
import NIOCore

@testable import ChannelLayer
@testable import Gateway

extension FuzzTargets {
    /// Names, positions, cursors, patterns, control messages and templates: what was parsed must be written identically.
    @Sendable static func names(_ input: [UInt8]) {
        let text = String(decoding: input, as: UTF8.self)
        if let position = Position(text) {
            precondition(Position(position.description) == position)
            precondition(position.epoch.description.count <= 16 && position.history.description.count <= 16)
            precondition(position.description.utf8.count <= text.utf8.count, "a position was written longer")
        }
        let groups = text.utf8.count { $0 == UInt8(ascii: ",") } + 1
        if let positions = EventCursor.parse(text, groups: groups) {
            precondition(positions.count == groups)
            let written = EventCursor.text(positions)
            precondition(
                EventCursor.parse(written, groups: groups) == positions && written.utf8.count <= text.utf8.count)
            precondition(EventCursor.parse(text, groups: groups + 1) == nil)
        }
        if let connection = ConnectionID(text) { precondition(connection.description == text.lowercased()) }
        if let group = try? GroupName(text) {
            precondition((1...GroupName.maximumLength).contains(text.utf8.count) && group.text == text)
            precondition(GroupPattern(text).matches(group) && GroupPattern("*").matches(group))
        }
        let pattern = GroupPattern(text)
        if pattern.matches(news) { precondition(GroupPattern(text + "*").matches(news)) }
        if let selection = ControlMessage.selection(ByteBuffer(bytes: input)) {
            let written = ControlMessage.end(selection)
            check(isOneLine: written)
            precondition(ControlMessage.selection(written) == selection)
        }
        if let path = try? PathTemplate(text) {
            guard let values = path.match(text) else {
                return precondition(text.contains("%"), "\(text) is another")
            }
            precondition(values.count == path.parameters.count)
        }
    }

    private static let news = try! GroupName("news-1.x")
}
