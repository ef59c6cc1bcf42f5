import Broker
import NIOCore
import Testing

@testable import Gateway

/// The close frames of each dialect.
struct CloseReasonTests {
    static let reasons: [CloseReason] = [
        .drain(milliseconds: 700), .revoked, .expired, .slow, .rateLimited, .dead, .stale, .resync(.gap),
        .resync(.reset), .badMessage, .messageRefused, .messageNotAccepted, .binaryMessage,
        .violation(.protocolError, "a reserved bit is set"),
    ]

    private func text(_ words: CloseWords?) -> String { words.map { "\($0.code) \($0.reason)" } ?? "-" }

    @Test func `A plain client is told in our codes`() {
        #expect(
            Self.reasons.map { text(PlainDialect.words(for: $0)) } == [
                "1012 the gateway restarts; reconnect in 700 ms", "4401 ended by the operator", "4401 login expired",
                "4508 too slow for too long", "4429 too many messages", "-", "-", "4510 messages may be missing: gap",
                "4510 messages may be missing: reset", "1008 a message must be a JSON object",
                "1008 the message was refused", "1013 the message was not accepted",
                "1003 only text is spoken here", "1002 a reserved bit is set",
            ])
    }

    @Test func `A centrifuge client is told in the protocol's codes`() {
        #expect(
            Self.reasons.map { text(CentrifugeDialect.words(for: $0)) } == [
                "3001 shutdown", "3503 force disconnect", "3005 connection expired", "3008 slow",
                "3013 too many requests", "3012 no pong", "3502 stale", "3010 insufficient state",
                "3010 insufficient state", "3501 bad request", "3501 bad request", "3001 shutdown",
                "1003 only text is spoken here", "1002 a reserved bit is set",
            ])
    }

    @Test func `An event stream is told to come back, to stay away, or nothing`() {
        let endings = Self.reasons.map { reason in
            switch EventStreamClient.ending(for: reason) {
            case .cut: "-"
            case .finish(nil): "…"
            case .finish(let goodbye?): String(buffer: EventStreamClient.bytes(of: goodbye))
            }
        }
        #expect(
            endings == [
                "retry: 700\n\n", "id: end\nevent: end\ndata: {\"reason\":\"ended by the operator\"}\n\n", "…", "-",
                "…", "-", "…", "…", "…", "…", "…", "…", "…", "…",
            ])
    }

    /// 44xx is "stay away" here and "come back" there, 45xx the other way round.
    @Test(arguments: reasons)
    func `No code of ours from 4000 on reaches a centrifuge client`(reason: CloseReason) {
        #expect((CentrifugeDialect.words(for: reason)?.code ?? 0) < 4000)
    }

    @Test(arguments: reasons)
    func `What is said fits a close frame`(reason: CloseReason) {
        for words in [PlainDialect.words(for: reason), CentrifugeDialect.words(for: reason)] {
            #expect((words?.reason.utf8.count ?? 0) <= 123)
            #expect(words.map { CloseCode.mayBeReceived($0.code) } ?? true)
        }
    }
}
