import Broker
import NIOCore

/// Publications of one group that came together: what has arrived in one read leaves in one write per socket.
///
/// Encoded once for each wire form, and joined once: the same bytes for all sessions that take the whole run.
struct PublicationRun {
    private(set) var encodings: ContiguousArray<Encodings>
    let isLogged: Bool
    /// nil: bare `PUBLISH`es, without positions.
    let first: Position?
    private(set) var last: Position?
    private var byteCount: Int
    private var whole = BytesByForm()

    init(_ publication: Publication) {
        encodings = [Encodings(publication)]
        isLogged = publication.isLogged
        first = publication.position
        last = publication.position
        byteCount = publication.json.readableBytes
    }

    var count: Int { encodings.count }

    /// False when the publication does not go on where the run ends, or would make it larger than a socket may have waiting.
    mutating func append(_ publication: Publication, limit: Int) -> Bool {
        guard publication.group == encodings[0].publication.group, publication.isLogged == isLogged,
            byteCount + publication.json.readableBytes <= limit
        else { return false }
        switch (last, publication.position) {
        case (nil, nil): break
        case (let last?, let next?):
            guard next.follows(last) else { return false }
            self.last = next
        default: return false
        }
        byteCount += publication.json.readableBytes
        encodings.append(Encodings(publication))
        return true
    }

    /// All of it, without compression.
    mutating func bytes(for form: WireForm) -> ByteBuffer {
        if let bytes = whole[form] { return bytes }
        var all = encodings[0].bytes(for: form)
        if encodings.count > 1 {
            all = ByteBufferAllocator().buffer(capacity: byteCount + 16 * encodings.count)
            for index in encodings.indices { all.writeImmutableBuffer(encodings[index].bytes(for: form)) }
        }
        whole[form] = all
        return all
    }

    /// One of them at a time, for a session that does not take the whole run.
    mutating func each(_ body: (inout Encodings) -> Void) {
        for index in encodings.indices { body(&encodings[index]) }
    }
}
