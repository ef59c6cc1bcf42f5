import Broker
import Foundation
import NIOCore

@testable import Gateway

/// JSON from clients and publishers.
extension FuzzTargets {
    /// One text: an accepted object is one line, means the same when parsed again, and is JSON for Foundation too.
    @Sendable static func json(_ input: [UInt8]) {
        let bytes = ByteBuffer(bytes: input)
        let original: JSONObject
        do throws(JSONError) {
            original = try JSONText.object(bytes, removing: [], form: .original)
        } catch {
            precondition((0...input.count).contains(error.offset))
            precondition((try? JSONText.object(bytes)) == nil && (try? JSONFields(bytes)) == nil)
            return
        }
        precondition(original.text.readableBytesView.elementsEqual(trimmed(input)), "the original was changed")
        guard let line = try? JSONText.object(bytes), let again = try? JSONText.object(line.text) else {
            preconditionFailure("it is JSON in one form only")
        }
        check(isOneLine: line.text)
        precondition(again.text == line.text && again.channels == nil && again.stamp == nil)
        precondition(isForeignJSON(line.text), "nobody else reads it")
        fields(original.text)
        sent(bytes)
    }

    /// The message made of it when a browser sends it: the type must not be the browser's, however it is spelled.
    private static func sent(_ bytes: ByteBuffer) {
        guard let message = ClientMessage.message(from: bytes), let fields = try? JSONFields(message),
            let object = try? JSONText.object(message)
        else { preconditionFailure("a browser cannot send it") }
        precondition(fields.string("type") == "receive", "a browser chose the type")
        precondition(object.text == message && object.stamp == nil && object.channels == nil)
    }

    /// No line ends: the text is sent as one `data:` field, and as one of several lines in a frame.
    static func check(isOneLine text: ByteBuffer) {
        precondition(text.readableBytesView.allSatisfy { $0 >= 0x20 || $0 == UInt8(ascii: "\t") }, "it is no one line")
    }

    private static func trimmed(_ input: [UInt8]) -> ArraySlice<UInt8> {
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || (0x09...0x0D).contains($0) && $0 != 0x0B && $0 != 0x0C }
        guard let last = input.lastIndex(where: { !isSpace($0) }) else { return [] }
        return input[...last].drop(while: isSpace)
    }

    /// Foundation needs paired surrogates and limits depth and numbers; texts where that matters are not compared.
    private static func isForeignJSON(_ text: ByteBuffer) -> Bool {
        let bytes = Array(text.readableBytesView)
        let digits = bytes.count { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard !bytes.contains(UInt8(ascii: "\\")), digits < 15,
            !bytes.contains(where: { $0 | 0x20 == UInt8(ascii: "e") }),
            bytes.count(where: { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "{") }) < 500
        else { return true }
        return (try? JSONSerialization.jsonObject(with: Data(bytes))) is [String: Any]
    }

    /// The entries: each is a value by itself, and a string has the same meaning after re-encoding.
    private static func fields(_ object: ByteBuffer) {
        guard let fields = try? JSONFields(object) else { preconditionFailure("an object has no entries") }
        for key in fields.keys {
            guard let raw = fields.raw(key) else { continue }
            var alone = ByteBuffer(string: #"{"value":"#)
            alone.writeImmutableBuffer(raw)
            alone.writeString("}")
            guard let value = try? JSONFields(alone) else { preconditionFailure("a value is none") }
            precondition(value.raw("value") == raw)
            let kinds = [
                fields.string(key) != nil, fields.number(key) != nil, fields.object(key) != nil, fields.flag(key),
            ]
            precondition(kinds.count { $0 } <= 1, "a value of two kinds")
            guard let text = fields.string(key) else { continue }
            for write in [JSONText.appendString, JSONText.appendPythonString]
                as [(String.UTF8View, inout ByteBuffer) -> Void]
            {
                var again = ByteBuffer(string: #"{"value":"#)
                write(text.utf8, &again)
                again.writeString("}")
                check(isOneLine: again)
                let read = (try? JSONFields(again))?.string("value")
                precondition(read.map { $0.utf8.elementsEqual(text.utf8) } ?? false, "a text changed")
            }
        }
    }

    /// A frame of a centrifuge client: its commands are those of its lines, and each reply is one line of JSON.
    @Sendable static func centrifuge(_ input: [UInt8]) {
        let whole = try? CentrifugeCommand.commands(in: ByteBuffer(bytes: input))
        var single: [CentrifugeCommand]? = []
        for line in input.split(separator: UInt8(ascii: "\n")) {
            let commands = try? CentrifugeCommand.commands(in: ByteBuffer(bytes: line))
            precondition((commands?.count ?? 0) <= 1)
            single = commands.flatMap { new in single.map { $0 + new } }
        }
        precondition(whole == single, "lines mean something else in a frame")
        for command in whole ?? [] { answer(command) }
    }

    private static func answer(_ command: CentrifugeCommand) {
        let id = command.id
        let position = Position(epoch: "5f3a", history: "9c01", offset: 7)
        var since: [CentrifugeCommand.Recovery?] = []
        var channels: [String] = []
        switch command.request {
        case .connect(_, let subs):
            channels = Array(subs.keys)
            since = Array(subs.values)
        case .subscribe(let channel, let recovery):
            channels = [channel]
            since = [recovery]
        case .history(let channel, _, let recovery, _):
            channels = [channel]
            since = [recovery]
        case .publish(let channel, let data):
            channels = [channel]
            guard let data, let group = try? GroupName(channel), let json = try? JSONText.object(data).text else {
                break
            }
            check(isReply: CentrifugeReply.push(Publication(group: group, position: position, json: json)))
        case .presence(let channel), .presenceStats(let channel), .unsubscribe(let channel): channels = [channel]
        case .ping, .send, .refresh, .subRefresh, .rpc, .pong, .unknown: break
        }
        for position in since.compactMap({ $0?.position }) {
            precondition(Position("\(position.wireEpoch):\(position.offset)") == position)
            let subscribed = CentrifugeReply.Subscribed(position: position, recovered: true, publications: [])
            check(isReply: CentrifugeReply.subscribe(id, subscribed))
        }
        for channel in channels {
            // Any channel name can be another client's user name.
            let info = CentrifugeReply.ClientInfo(user: channel, client: "c")
            check(isReply: CentrifugeReply.presence(id, [info, info]))
            guard let group = try? GroupName(channel) else { continue }
            check(isReply: CentrifugeReply.presence(group, info, joined: true))
        }
    }

    private static func check(isReply reply: ByteBuffer) {
        check(isOneLine: reply)
        precondition((try? JSONText.object(reply, removing: []).text) == reply, "a reply is no JSON")
    }
}
