/// One `permessage-deflate` offer of a client (RFC 7692 section 7.1).
struct DeflateOffer: Equatable {
    static let name = "permessage-deflate"

    /// `server_no_context_takeover`: the server must compress each message independently.
    var wantsServerWithoutContext = false
    /// `client_no_context_takeover`: the client will compress each message independently.
    var clientHasNoContext = false
    /// `server_max_window_bits`: the largest window the client can inflate, 8 to 15; nil: any.
    var serverWindowBits: Int?
    /// `client_max_window_bits`: the client can limit its window as the server asks; with the client's own limit, if any.
    var clientWindowBits: ClientWindow?

    enum ClientWindow: Equatable {
        case upTo(Int)
        case any
    }

    /// - Returns: nil when the offer must be declined: a parameter is unknown, repeated or has an invalid value.
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

    /// 8 to 15 in decimal, without leading zeros.
    private static func bits(_ value: String) -> Int? {
        guard let bits = Int(value), (8...15).contains(bits), String(bits) == value else { return nil }
        return bits
    }
}
