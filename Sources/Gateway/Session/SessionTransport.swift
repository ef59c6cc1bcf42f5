import Broker
import NIOCore
import Sockets

/// What a session writes to: a WebSocket or an event stream. On the shard's loop only.
protocol SessionTransport: AnyObject {
    /// False when the socket's buffer is full: nothing more is queued then.
    var isWritable: Bool { get }
    /// Bytes that wait for the socket.
    var pendingBytes: Int { get }
    /// Queues bytes that are already in the transport's form; the flush comes at the end of the fan-out.
    func write(_ bytes: ByteBuffer)
    func flush()
    var deflateWindow: DeflateWindow? { get }
    /// The client has to be told that messages between may be missing, in the words of its protocol.
    func tellLost(_ group: GroupName, _ continuity: Continuity)
    /// So many messages that cannot be read again came while the client read nothing, and are gone.
    func tellDropped(_ group: GroupName, _ count: Int)
}

extension SessionTransport {
    /// What the client inflates publications with; nil: it does not.
    var deflateWindow: DeflateWindow? { nil }
}

/// What a handshake becomes: it owns the socket until that ends.
protocol ConnectedClient: StreamSocketOwner, Ticking {
    /// What it was let in with.
    var ticket: Ticket { get }
    /// Its socket is its own.
    func begin()
    /// Whether it has not been told to go yet.
    var isOpen: Bool { get }
    /// Tells the client to come back, and when, and ends.
    func drain()
    /// Tells the client why its connection ends, in words that keep it from coming back as it was.
    func end(_ ending: Ending)
    /// Ends at once.
    func cut()
}

/// Why the gateway ends a connection that did nothing wrong.
enum Ending {
    /// An operator has ended it.
    case revoked
    /// The login was good until now.
    case expired

    /// For a plain client's close frame.
    var reason: String {
        switch self {
        case .revoked: "ended by the operator"
        case .expired: "login expired"
        }
    }
}

/// The forms in which a client may want its messages.
enum WireForm {
    /// A WebSocket text frame with the message as JSON.
    case plain
    /// An event of `text/event-stream`.
    case eventStream
    /// A WebSocket text frame with a push of the centrifuge protocol.
    case centrifuge
}

/// One publication in each wire form, encoded when the first session wants it: the same bytes for all of an event loop.
struct Encodings {
    let publication: Publication
    private var plain: ByteBuffer?
    private var event: ByteBuffer?
    private var push: ByteBuffer?
    private var compressed: [CompressedForm: ByteBuffer] = [:]

    private struct CompressedForm: Hashable {
        var form: WireForm
        var window: DeflateWindow
    }

    init(_ publication: Publication) { self.publication = publication }

    mutating func bytes(for form: WireForm) -> ByteBuffer {
        switch form {
        case .plain:
            if let plain { return plain }
            let frame = FrameWriter.text(publication.json)
            plain = frame
            return frame
        case .centrifuge:
            if let push { return push }
            let frame = FrameWriter.text(CentrifugeReply.push(publication))
            push = frame
            return frame
        case .eventStream:
            if let event { return event }
            let text = EventWriter.message(publication.json, id: publication.position?.description)
            event = text
            return text
        }
    }

    /// For a client that negotiated permessage-deflate: the same as without it where that is not shorter.
    mutating func bytes(for form: WireForm, window: DeflateWindow, by deflater: MessageDeflater) -> ByteBuffer {
        if let frame = compressed[CompressedForm(form: form, window: window)] { return frame }
        let text: ByteBuffer
        switch form {
        case .plain: text = publication.json
        case .centrifuge: text = CentrifugeReply.push(publication)
        case .eventStream: return bytes(for: form)
        }
        let frame = deflater.frame(text: text, window: window) ?? bytes(for: form)
        compressed[CompressedForm(form: form, window: window)] = frame
        return frame
    }
}
