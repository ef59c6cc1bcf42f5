import Broker

extension CentrifugeDialect {
    /// In centrifuge's codes: 3000–3499 come back, 3500–3999 do not. Codes of the plain protocol mean the opposite of
    /// centrifuge's own 4000–4999, so none of them may be among these.
    static func words(for reason: CloseReason) -> CloseWords? {
        switch reason {
        // The SDK knows by itself to come back, each client at a time of its own.
        case .drain: CloseWords(.shutdown)
        case .revoked: CloseWords(.forced)
        case .expired: CloseWords(.expired)
        case .slow: CloseWords(.slow)
        case .rateLimited: CloseWords(.tooManyRequests)
        case .dead: CloseWords(.noPong)
        case .stale: CloseWords(.stale)
        case .resync: CloseWords(.insufficientState)
        case .badMessage, .messageRefused: CloseWords(.badRequest)
        case .messageNotAccepted: CloseWords(.shutdown)
        case .binaryMessage: CloseWords(.unsupportedData, "only text is spoken here")
        case .violation(let code, let words): CloseWords(code, words)
        }
    }
}

extension CloseWords {
    init(_ disconnect: CentrifugeDisconnect) { self.init(code: disconnect.code, reason: disconnect.reason) }
}

extension DialectConnection {
    func close(_ disconnect: CentrifugeDisconnect) { close(CloseWords(disconnect)) }
}
