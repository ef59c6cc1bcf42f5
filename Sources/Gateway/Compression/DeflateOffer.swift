/// What a client asks for with one `permessage-deflate` (RFC 7692 section 7.1).
struct DeflateOffer: Equatable {
    static let name = "permessage-deflate"

    /// `server_no_context_takeover`: the server is to compress each message by itself.
    var wantsServerWithoutContext = false
    /// `client_no_context_takeover`: the client says that it compresses each message by itself.
    var clientHasNoContext = false
    /// `server_max_window_bits`: the largest window that the client can inflate, 8 to 15; nil: any.
    var serverWindowBits: Int?
    /// `client_max_window_bits`: the client can keep to a window of the server's choice, and its own bound for it.
    var clientWindowBits: ClientWindow?

    enum ClientWindow: Equatable {
        case upTo(Int)
        case any
    }

    /// - Returns: nil when the offer is to be declined: a parameter that is not known, comes twice, or whose value is none
    ///   that it may have.
    init?(_ parameters: [ExtensionOffer.Parameter]) {
        for parameter in parameters {
            switch (parameter.name, parameter.value) {
            case ("server_no_context_takeover", nil) where !wantsServerWithoutContext: wantsServerWithoutContext = true
            case ("client_no_context_takeover", nil) where !clientHasNoContext: clientHasNoContext = true
            case ("server_max_window_bits", let value?) where serverWindowBits == nil:
                guard let bits = Self.bits(value) else { return nil }
                serverWindowBits = bits
            case ("client_max_window_bits", nil) where clientWindowBits == nil: clientWindowBits = .any
            case ("client_max_window_bits", let value?) where clientWindowBits == nil:
                guard let bits = Self.bits(value) else { return nil }
                clientWindowBits = .upTo(bits)
            default: return nil
            }
        }
    }

    /// 8 to 15 in decimal, without zeros in front.
    private static func bits(_ value: String) -> Int? {
        guard let bits = Int(value), (8...15).contains(bits), String(bits) == value else { return nil }
        return bits
    }
}
