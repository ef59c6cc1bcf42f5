import Broker
import NIOCore

/// The rpc methods `tocsin.…`: a subscriber's commands on its inboxes (docs/protocol.md).
extension CentrifugeDialect {
    static let inboxMethods = "tocsin."

    /// - Throws: `CentrifugeError` for a command that is none, and for a channel that the client is not subscribed to.
    func callInbox(_ id: UInt32, _ method: String, _ data: ByteBuffer?) throws(CentrifugeError) {
        let command = try InboxCommand(rpc: method, data)
        let group: GroupName
        do { group = try InboxDesk.group(command.group, among: session.inboxes) } catch {
            throw error.code == .groupNeeded ? .badRequest : .permissionDenied
        }
        let desk = InboxDesk(
            backplane: shard.state.backplane, eventLoop: shard.eventLoop, user: access.user, namesGroups: false)
        let answer = desk.perform(command.request, in: group).flatMapErrorThrowing { error in
            // Retrying what was refused would fail again: a "temporary" error would make the SDK retry forever.
            throw (error as? InboxError)?.code == .refused ? CentrifugeError.badRequest : error
        }
        read(id, answer) { CentrifugeReply.rpc(id, data: $0) }
    }
}

extension InboxCommand {
    /// - Parameters:
    ///   - method: `tocsin.read`, `tocsin.read_one`, `tocsin.unread_one`, `tocsin.read_all`, `tocsin.state` or `tocsin.page`.
    ///   - data: `{"position":…}` for the first three, `{"before":…,"limit":…}` for a page; `"channel"` names the group.
    /// - Throws: `CentrifugeError`.
    init(rpc method: String, _ data: ByteBuffer?) throws(CentrifugeError) {
        let fields: JSONFields
        do { fields = try JSONFields(data ?? ByteBuffer(string: "{}")) } catch { throw .badRequest }
        func position() throws(CentrifugeError) -> Position {
            guard let position = fields.string("position").flatMap({ Position($0) }) else { throw .badRequest }
            return position
        }
        let request: Request
        switch method {
        case "tocsin.read": request = .mark(.upTo(try position()))
        case "tocsin.read_one": request = .mark(.one(try position()))
        case "tocsin.unread_one": request = .mark(.unreadOne(try position()))
        case "tocsin.read_all": request = .mark(.all)
        case "tocsin.state": request = .state
        case "tocsin.page":
            do { request = try Self.page(of: fields) } catch { throw .badRequest }
        default: throw .methodNotFound
        }
        self.init(request: request, group: fields.string("channel"))
    }
}
