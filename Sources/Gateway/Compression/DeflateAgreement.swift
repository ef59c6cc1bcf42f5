import NIOHTTP1

/// The windows that messages are compressed with. Two and no more, so that no client can have every message compressed
/// once more for itself.
enum DeflateWindow: Hashable {
    /// The configured one.
    case full
    /// The smallest that zlib can make, for every client that cannot inflate the full one.
    case small

    static let smallBits = 9

    func bits(_ configuration: CompressionConfiguration) -> Int {
        self == .full ? configuration.windowBits : Self.smallBits
    }
}

/// What client and server agreed on: permessage-deflate in which each message stands for itself, in both directions.
///
/// So one compressed message is the same bytes for all clients of a window, and one inflater serves all clients of a loop.
struct DeflateAgreement: Equatable {
    var window: DeflateWindow
    /// The value of `Sec-WebSocket-Extensions` in the answer.
    var response: String

    /// The first offer that can be kept.
    ///
    /// - Parameter fields: the request's `Sec-WebSocket-Extensions`.
    /// - Returns: nil: compression is off, not offered, or not in a way that can be kept; the connection goes without.
    /// - Throws: the handshake is to be refused: RFC 6455 section 9.1 allows no extension field that cannot be read.
    static func negotiate(
        _ fields: [String], _ configuration: CompressionConfiguration
    ) throws(Refusal) -> DeflateAgreement? {
        guard configuration.isEnabled, !fields.isEmpty else { return nil }
        guard let extensions = ExtensionHeader.offers(in: fields) else {
            throw Refusal.bad("Sec-WebSocket-Extensions cannot be read")
        }
        for candidate in extensions where candidate.name == DeflateOffer.name {
            if let offer = DeflateOffer(candidate.parameters), let agreement = Self(offer, configuration) {
                return agreement
            }
        }
        return nil
    }

    /// nil: the client inflates no more than a window of 8 bits, and zlib compresses with none below 9.
    init?(_ offer: DeflateOffer, _ configuration: CompressionConfiguration) {
        let largest = offer.serverWindowBits ?? 15
        if largest >= configuration.windowBits {
            window = .full
        } else if largest >= DeflateWindow.smallBits {
            window = .small
        } else {
            return nil
        }
        // Both may be said whether the client asked for them or not (sections 7.1.1.1 and 7.1.1.2).
        response = "\(DeflateOffer.name); server_no_context_takeover; client_no_context_takeover"
        let bits = window.bits(configuration)
        if bits < 15 || offer.serverWindowBits != nil { response += "; server_max_window_bits=\(bits)" }
        // client_max_window_bits is not asked for: the inflater takes any window, and costs one for all clients.
    }
}
