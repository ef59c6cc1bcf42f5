import Broker
import NIOCore

/// The texts of `tocsin.v1` that the gateway sends. `group` is nil on a connection that has only one.
enum InboxFrame {
    static func message(_ publication: Publication, _ form: WireForm, isRead: Bool = false) -> ByteBuffer {
        message(
            publication.json, id: publication.position, of: form == .namedInbox ? publication.group : nil,
            isRead: isRead)
    }

    /// `{"id":POSITION,"message":{…},"read":false}`. On the path of each message: literal bytes.
    static func message(
        _ json: ByteBuffer, id: Position?, of group: GroupName?, isRead: Bool = false
    ) -> ByteBuffer {
        var text = ByteBufferAllocator().buffer(capacity: json.readableBytes + 96)
        if let id {
            text.writeString("{\"id\":\"\(id)\",\"message\":")
        } else {
            text.writeStaticString("{\"id\":null,\"message\":")
        }
        text.writeImmutableBuffer(json)
        text.writeStaticString(isRead ? ",\"read\":true" : ",\"read\":false")
        if let group { text.writeString(",\"group\":\"\(group.text)\"") }
        text.writeStaticString("}")
        return text
    }

    /// `{"unread":2,"read":POSITION}`, and what was marked where the change was about a single message.
    static func state(
        _ state: InboxState, _ mark: ReadMark? = nil, of group: GroupName?, reference: ByteBuffer? = nil
    ) -> ByteBuffer {
        frame(of: group, reference) { json in
            state.write(to: &json)
            switch mark {
            case .one(let position): json.string("read_one", position.description)
            case .unreadOne(let position): json.string("unread_one", position.description)
            case .upTo, .all, nil: break
            }
        }
    }

    /// `{"page":[{"id","message","read"},…],"unread":n,"read":POSITION}`, newest first.
    static func page(_ page: InboxPage, of group: GroupName?, reference: ByteBuffer?) -> ByteBuffer {
        frame(of: group, reference) { json in
            json.array("page") { json in
                for entry in page.entries {
                    json.raw(message(entry.json, id: entry.position, of: nil, isRead: entry.isRead))
                }
            }
            page.state.write(to: &json)
        }
    }

    /// Messages before the next one may be missing.
    ///
    /// - Parameter position: where the client goes on: what follows comes after it. nil: it is not known.
    static func gap(after position: Position?, _ continuity: Continuity, of group: GroupName?) -> ByteBuffer {
        frame(of: group) { json in
            json.object("gap") { json in
                json.string("after", position?.description)
                json.string("reason", continuity.name)
            }
        }
    }

    /// So many messages of a group without history were dropped, because the client was too slow.
    static func dropped(_ count: Int, of group: GroupName?) -> ByteBuffer {
        frame(of: group) { $0.number("dropped", count) }
    }

    static func error(_ error: InboxError, reference: ByteBuffer?) -> ByteBuffer {
        failure(code: error.code.rawValue, error.message, reference)
    }

    private static func failure(code: String, _ message: String, _ reference: ByteBuffer?) -> ByteBuffer {
        frame(of: nil, reference) { json in
            json.object("error") { json in
                json.string("code", code)
                json.string("message", message)
            }
        }
    }

    /// A message that was to be forwarded is lost.
    static func lost(_ error: ForwardError, reference: ByteBuffer?) -> ByteBuffer {
        failure(code: error.rawValue, error.message, reference)
    }

    /// What the route's worker, site or echo says: JSON as it is, other text as a string.
    static func answer(_ text: ByteBuffer, reference: ByteBuffer?) -> ByteBuffer {
        frame(of: nil, reference) { json in
            if (try? JSONFields(text)) != nil {
                json.raw("answer", text)
            } else {
                json.string("answer", String(buffer: text))
            }
        }
    }

    private static func frame(
        of group: GroupName?, _ reference: ByteBuffer? = nil, _ body: (inout JSONWriter) -> Void
    ) -> ByteBuffer {
        JSONWriter.object { json in
            body(&json)
            if let group { json.string("group", group.text) }
            if let reference { json.raw("ref", reference) }
        }
    }
}
