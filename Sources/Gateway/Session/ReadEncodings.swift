import Broker
import NIOCore

/// Encoded entries of the page last read from a group's log. Sessions at the same cursor get the same page shortly after
/// each other, and share its bytes in each form. A value on its shard's loop.
struct ReadEncodings {
    /// Bytes of messages to keep; a single message may exceed it.
    static let maximumBytes = 1 << 20

    private var encodings: [Position: Encodings] = [:]
    private var byteCount = 0

    var isEmpty: Bool { encodings.isEmpty }

    subscript(publication: Publication) -> Encodings {
        publication.position.flatMap { encodings[$0] } ?? Encodings(publication)
    }

    mutating func keep(_ encoded: Encodings) {
        guard let position = encoded.publication.position else { return }
        if encodings[position] == nil {
            let size = encoded.publication.json.readableBytes
            if byteCount + size > Self.maximumBytes { self = ReadEncodings() }
            byteCount += size
        }
        encodings[position] = encoded
    }
}
