import Broker
import NIOCore

/// Publications of one group that arrived together: what came in one read leaves in one write per socket.
///
/// Encoded and concatenated once per wire form; all sessions that take the whole run share the bytes.
struct PublicationRun {
    private(set) var encodings: ContiguousArray<Encodings>
    let isLogged: Bool
    /// nil: plain `PUBLISH`es, which have no positions.
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

    /// Returns false when the publication does not directly follow the run, or would make it exceed `limit` bytes.
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

    /// The concatenated run, uncompressed.
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

    /// Visits the publications one by one, for a session that does not take the whole run.
    mutating func each(_ body: (inout Encodings) -> Void) {
        for index in encodings.indices { body(&encodings[index]) }
    }
}
