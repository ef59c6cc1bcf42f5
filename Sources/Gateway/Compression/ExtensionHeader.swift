/// One extension that a client offers in `Sec-WebSocket-Extensions`.
struct ExtensionOffer: Equatable {
    struct Parameter: Equatable {
        var name: String
        /// Without quotes; nil when the parameter has no value.
        var value: String?
    }

    var name: String
    var parameters: [Parameter] = []
}

/// Parses `Sec-WebSocket-Extensions` (RFC 6455 section 9.1): `name; parameter; parameter=value, name…`.
///
/// Empty list elements are skipped, as RFC 9110 section 5.6.1.2 requires.
struct ExtensionHeader {
    private var rest: Substring.UTF8View

    /// The offers of all fields in order, which is the client's order of preference.
    ///
    /// - Returns: nil when a field is malformed; the handshake must then fail.
    static func offers(in fields: [String]) -> [ExtensionOffer]? {
        var offers: [ExtensionOffer] = []
        for field in fields {
            var header = ExtensionHeader(rest: field[...].utf8)
            guard header.readList(into: &offers) else { return nil }
        }
        return offers
    }

    private mutating func readList(into offers: inout [ExtensionOffer]) -> Bool {
        while true {
            skipSpace()
            if rest.isEmpty { return true }
            if take(",") { continue }
            guard let offer = readOffer() else { return false }
            offers.append(offer)
            guard rest.isEmpty || take(",") else { return false }
        }
    }

    private mutating func readOffer() -> ExtensionOffer? {
        guard let name = readToken() else { return nil }
        var offer = ExtensionOffer(name: name)
        skipSpace()
        while take(";") {
            skipSpace()
            guard let name = readToken() else { return nil }
            var parameter = ExtensionOffer.Parameter(name: name)
            skipSpace()
            if take("=") {
                skipSpace()
                guard let value = rest.first == UInt8(ascii: "\"") ? readQuoted() : readToken() else { return nil }
                parameter.value = value
                skipSpace()
            }
            offer.parameters.append(parameter)
        }
        return offer
    }

    private mutating func readToken() -> String? {
        let token = rest.prefix(while: Self.isTokenByte)
        guard !token.isEmpty else { return nil }
        rest.removeFirst(token.count)
        return String(Substring(token))
    }

    /// A quoted string whose unescaped value is a token.
    private mutating func readQuoted() -> String? {
        rest.removeFirst()
        var value: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""):
                return value.isEmpty ? nil : String(decoding: value, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let escaped = rest.popFirst(), Self.isTokenByte(escaped) else { return nil }
                value.append(escaped)
            default:
                guard Self.isTokenByte(byte) else { return nil }
                value.append(byte)
            }
        }
        return nil
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func skipSpace() {
        rest = rest.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    }

    /// tchar of RFC 9110 section 5.6.2.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}
