import Broker
import NIOCore

/// One command on a user's inbox, as a page sends it over `tocsin.v1`, by `POST`, or as the data of a centrifuge rpc.
struct InboxCommand: Equatable {
    enum Request: Equatable {
        case mark(ReadMark)
        /// Messages before the position, newest first; nil: the newest.
        case page(before: Position?, limit: Int)
        case state
        /// A message on the way that a plain client's text goes: a JSON object.
        case send(ByteBuffer)
    }

    /// Messages of a page unless the command says how many.
    static let usualLimit = 50
    static let maximumLimit = 1000
    /// Bytes of a reference: it is sent back.
    static let maximumReference = 128

    let request: Request
    /// nil: the only group that can be meant.
    let group: String?

    private static let names = ["read", "read_one", "unread_one", "read_all", "page", "state", "send"]

    /// Parses one command.
    ///
    /// - Returns: the client's own reference, as JSON, to be sent back also with an error; nil: there is none.
    static func parse(_ text: ByteBuffer) -> (reference: ByteBuffer?, Result<InboxCommand, InboxError>) {
        let fields: JSONFields
        do {
            fields = try JSONFields(text)
        } catch {
            return (nil, .failure(InboxError(.badCommand, "a command must be a JSON object: \(error)")))
        }
        do throws(InboxError) {
            let reference = try reference(fields)
            do throws(InboxError) {
                return (reference, .success(try command(fields)))
            } catch {
                return (reference, .failure(error))
            }
        } catch {
            return (nil, .failure(error))
        }
    }

    private static func reference(_ fields: JSONFields) throws(InboxError) -> ByteBuffer? {
        guard let reference = fields.raw("ref") else { return nil }
        guard fields.string("ref") != nil || fields.number("ref") != nil,
            reference.readableBytes <= maximumReference
        else {
            throw InboxError(
                .badCommand, "\"ref\" must be a string or a number of at most \(maximumReference) bytes")
        }
        return reference
    }

    private static func command(_ fields: JSONFields) throws(InboxError) -> InboxCommand {
        let found = names.filter { fields.raw($0) != nil }
        guard found.count == 1 else {
            let wanted = "a command has exactly one of \(names.joined(separator: ", "))"
            throw InboxError(.badCommand, found.isEmpty ? wanted : "\(wanted); this one has \(found.count)")
        }
        let group = fields.string("group")
        guard group != nil || fields.raw("group") == nil else {
            throw InboxError(.badCommand, "\"group\" must be a string")
        }
        return InboxCommand(request: try request(found[0], fields), group: group)
    }

    private static func request(_ name: String, _ fields: JSONFields) throws(InboxError) -> Request {
        switch name {
        case "read": return .mark(.upTo(try position(name, of: fields)))
        case "read_one": return .mark(.one(try position(name, of: fields)))
        case "unread_one": return .mark(.unreadOne(try position(name, of: fields)))
        case "page": return try page(fields)
        case "send":
            guard fields.object(name) != nil, let message = fields.raw(name) else {
                throw InboxError(.badCommand, "\"send\" must be a JSON object")
            }
            return .send(message)
        default:
            guard fields.flag(name) else { throw InboxError(.badCommand, "\"\(name)\" must be true") }
            return name == "state" ? .state : .mark(.all)
        }
    }

    private static func page(_ fields: JSONFields) throws(InboxError) -> Request {
        guard let page = fields.object("page") else {
            throw InboxError(.badCommand, "\"page\" must be an object: {\"before\":POSITION,\"limit\":\(usualLimit)}")
        }
        return try self.page(of: page)
    }

    /// - Parameter page: `before` and `limit`, both of which may be missing.
    static func page(of page: JSONFields) throws(InboxError) -> Request {
        let before = page.raw("before") == nil ? nil : try position("before", of: page)
        guard page.raw("limit") != nil else { return .page(before: before, limit: usualLimit) }
        guard let limit = page.integer("limit"), (1...Int64(maximumLimit)).contains(limit) else {
            throw InboxError(.badCommand, "\"limit\" must be an integer from 1 to \(maximumLimit)")
        }
        return .page(before: before, limit: Int(limit))
    }

    private static func position(_ key: String, of fields: JSONFields) throws(InboxError) -> Position {
        guard let position = fields.string(key).flatMap({ Position($0) }) else {
            throw InboxError(.badPosition, "\"\(key)\" must be the id of a message, as it was sent")
        }
        return position
    }
}
