import Broker

extension CentrifugeDialect {
    /// The centrifuge close code and reason: 3000–3499 reconnect, 3500–3999 do not. The plain protocol's 44xx and 45xx mean
    /// the opposite of what centrifuge gives 4000–4999, so they must never appear here.
    static func words(for reason: CloseReason) -> CloseWords? {
        switch reason {
        // SDKs reconnect by themselves after this code, each after its own random delay.
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
