import Broker
import NIOCore

/// The encodings in which clients receive messages.
enum WireForm {
    /// A WebSocket text frame with the message as JSON.
    case plain
    /// An event of `text/event-stream`.
    case eventStream
    /// A WebSocket text frame with a push of the centrifuge protocol.
    case centrifuge
    /// A WebSocket text frame of `tocsin.v1`.
    case inbox
    /// The same with the group's name, for a connection with several.
    case namedInbox
}

/// The encoded bytes for each wire form, filled in on demand. Looked up on every delivery, so it avoids hashing.
struct BytesByForm {
    private var plain: ByteBuffer?
    private var event: ByteBuffer?
    private var push: ByteBuffer?
    /// The forms of `tocsin.v1`. Apart, because a delivery of the others must not pay for them.
    private var inbox: [WireForm: ByteBuffer] = [:]

    subscript(form: WireForm) -> ByteBuffer? {
        get {
            switch form {
            case .plain: plain
            case .eventStream: event
            case .centrifuge: push
            case .inbox, .namedInbox: inbox[form]
            }
        }
        set {
            switch form {
            case .plain: plain = newValue
            case .eventStream: event = newValue
            case .centrifuge: push = newValue
            case .inbox, .namedInbox: inbox[form] = newValue
            }
        }
    }
}

/// One publication in each wire form, encoded when first needed; the bytes are shared by all sessions of an event loop.
struct Encodings {
    let publication: Publication
    private var encoded = BytesByForm()
    private var compressed: [CompressedForm: ByteBuffer] = [:]

    private struct CompressedForm: Hashable {
        var form: WireForm
        var window: DeflateWindow
    }

    init(_ publication: Publication) { self.publication = publication }

    mutating func bytes(for form: WireForm) -> ByteBuffer {
        if let bytes = encoded[form] { return bytes }
        let bytes =
            switch form {
            case .plain: FrameWriter.text(publication.json)
            case .centrifuge: FrameWriter.text(CentrifugeReply.push(publication))
            case .inbox, .namedInbox: FrameWriter.text(InboxFrame.message(publication, form))
            case .eventStream: EventWriter.message(publication.json, id: publication.position?.description)
            }
        encoded[form] = bytes
        return bytes
    }

    /// For a client that negotiated permessage-deflate. The uncompressed frame where compression does not help.
    mutating func bytes(for form: WireForm, window: DeflateWindow, by deflater: MessageDeflater) -> ByteBuffer {
        if let frame = compressed[CompressedForm(form: form, window: window)] { return frame }
        let text: ByteBuffer
        switch form {
        case .plain: text = publication.json
        case .centrifuge: text = CentrifugeReply.push(publication)
        case .inbox, .namedInbox: text = InboxFrame.message(publication, form)
        case .eventStream: return bytes(for: form)
        }
        let frame = deflater.frame(text: text, window: window) ?? bytes(for: form)
        compressed[CompressedForm(form: form, window: window)] = frame
        return frame
    }
}
