import Broker
import NIOCore
import NIOHTTP1

/// A `POST` with one command on an inbox: the same login and rules as a client of the route, and then an answer instead of an upgrade.
extension Handshake {
    struct PostedCommand {
        /// Of the body.
        let bytes: Int
        let desk: InboxDesk
        let groups: [GroupName]
        /// Whether the body has arrived, and the command is on its way.
        var isAsked = false
    }

    func takeCommand(_ entrant: Entrant, _ bytes: Int, of user: String?, in groups: [GroupName]) {
        let desk = InboxDesk(
            backplane: shard.state.backplane, eventLoop: shard.eventLoop, user: user, namesGroups: groups.count > 1)
        stage = .commanding(entrant, PostedCommand(bytes: bytes, desk: desk, groups: groups))
        performCommand()
    }

    /// Call for each piece of the body.
    func performCommand() {
        guard case .commanding(let entrant, var posted) = stage, !posted.isAsked,
            let body = entrant.early.getSlice(at: entrant.early.readerIndex, length: posted.bytes)
        else { return }
        posted.isAsked = true
        stage = .commanding(entrant, posted)
        let (reference, command) = InboxCommand.parse(body)
        do throws(InboxError) {
            let command = try command.get()
            let group = try InboxDesk.group(command.group, among: posted.groups)
            posted.desk.perform(command.request, in: group, reference: reference).assumeIsolated().whenComplete {
                self.answer($0, reference)
            }
        } catch {
            answer(.failure(error), reference)
        }
    }

    private func answer(_ result: Result<ByteBuffer, any Error>, _ reference: ByteBuffer?) {
        // Meanwhile the connection may have ended, or the time run out.
        guard case .commanding = stage else { return }
        var status = HTTPResponseStatus.ok, headers = CrossOrigin.fields(for: page) + [("Cache-Control", "no-store")]
        let body: ByteBuffer
        switch result {
        case .success(let text): body = text
        case .failure(let failure):
            let error = failure as? InboxError ?? InboxError(failure)
            status = error.code.status
            if status == .serviceUnavailable { headers.append(("Retry-After", "2")) }
            body = InboxFrame.error(error, reference: reference)
        }
        respond(HTTPAnswer(status: status, headers: headers, contentType: "application/json", body: body).bytes)
    }
}

extension InboxError.Code {
    /// Of the response to a `POST`.
    fileprivate var status: HTTPResponseStatus {
        switch self {
        case .badCommand, .badPosition, .groupNeeded, .notAllowed: .badRequest
        case .unknownGroup: .notFound
        case .refused: .conflict
        case .busy, .unavailable: .serviceUnavailable
        }
    }
}
