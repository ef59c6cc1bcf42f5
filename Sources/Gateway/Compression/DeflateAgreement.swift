import NIOHTTP1

/// The windows that messages are compressed with: only two, so that no client can make the gateway compress every message
/// once more just for it.
enum DeflateWindow: Hashable {
    /// The configured one.
    case full
    /// The smallest that zlib supports, for every client that cannot inflate the full one.
    case small

    static let smallBits = 9

    func bits(_ configuration: CompressionConfiguration) -> Int {
        self == .full ? configuration.windowBits : Self.smallBits
    }
}

/// The parameters client and server agreed on: permessage-deflate without context takeover, in both directions.
///
/// Each message is compressed independently, so one compressed message serves all clients with the same window, and one
/// inflater serves all clients of a loop.
struct DeflateAgreement: Equatable {
    var window: DeflateWindow
    /// The value of `Sec-WebSocket-Extensions` in the response.
    var response: String

    /// Accepts the first offer that can be met.
    ///
    /// - Parameter fields: the request's `Sec-WebSocket-Extensions`.
    /// - Returns: nil when compression is off, not offered, or no offer can be met; the connection is then uncompressed.
    /// - Throws: `Refusal` when a field is malformed: RFC 6455 section 9.1 forbids ignoring it.
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

    /// nil when the client's window is 8 bits: zlib cannot compress with less than 9.
    init?(_ offer: DeflateOffer, _ configuration: CompressionConfiguration) {
        let largest = offer.serverWindowBits ?? 15
        if largest >= configuration.windowBits {
            window = .full
        } else if largest >= DeflateWindow.smallBits {
            window = .small
        } else {
            return nil
        }
        // Both may be sent whether or not the client asked for them (sections 7.1.1.1 and 7.1.1.2).
        response = "\(DeflateOffer.name); server_no_context_takeover; client_no_context_takeover"
        let bits = window.bits(configuration)
        if bits < 15 || offer.serverWindowBits != nil { response += "; server_max_window_bits=\(bits)" }
        // client_max_window_bits is not requested: the inflater takes any window, and all clients share its cost.
    }
}
