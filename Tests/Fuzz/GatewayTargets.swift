import Broker
import Foundation
import NIOCore
import NIOHTTP1

@testable import Gateway

/// Bytes that clients send during and after their handshake.
extension FuzzTargets {
    /// The first byte: whether compression was negotiated, and how many bytes arrive at a time. The rest: a client's bytes.
    @Sendable static func frames(_ input: [UInt8]) {
        guard let settings = input.first else { return }
        let bytes = input.dropFirst()
        let whole = events(bytes, piece: max(bytes.count, 1), allowsCompression: settings & 0x80 != 0)
        let pieces = events(bytes, piece: Int(settings & 0x7F) + 1, allowsCompression: settings & 0x80 != 0)
        precondition(whole == pieces, "bytes in pieces mean something else")
        for (index, event) in whole.enumerated() {
            switch event {
            case .text(let text):
                precondition(
                    text.readableBytes <= 1000 && String(validating: text.readableBytesView, as: UTF8.self) != nil)
            case .binary(let bytes), .compressed(let bytes, _): precondition(bytes.readableBytes <= 1000)
            case .ping(let payload): precondition(payload.readableBytes <= 125)
            case .pong: break
            case .close(let code): precondition(code.map(CloseCode.mayBeReceived) ?? true)
            case .violation: precondition(index == whole.count - 1, "something came after a violation")
            }
        }
    }

    private static func events(_ bytes: ArraySlice<UInt8>, piece: Int, allowsCompression: Bool) -> [FrameParser.Event] {
        var parser = FrameParser(maximumMessageBytes: 1000, maximumFragments: 8, allowsCompression: allowsCompression)
        var events: [FrameParser.Event] = []
        var rest = bytes
        while !rest.isEmpty {
            parser.feed(ByteBuffer(bytes: rest.prefix(piece)))
            rest = rest.dropFirst(piece)
            while let event = parser.next() { events.append(event) }
        }
        return events
    }

    /// A compressed payload. Valid ones are compressed and inflated again; nothing depends on earlier messages.
    @Sendable static func inflate(_ input: [UInt8]) {
        // libFuzzer has one thread.
        nonisolated(unsafe) let used = usedInflater
        let event = used.message(ByteBuffer(bytes: input), isText: false)
        precondition(
            event == MessageInflater(maximumMessageBytes: 20_000).message(ByteBuffer(bytes: input), isText: false))
        switch event {
        case .binary(let message):
            precondition(message.readableBytes <= 20_000)
            guard let frame = deflater.frame(text: message, window: .small) else { return }
            precondition(frame.readableBytes < message.readableBytes + 10)
            let header = frame.readableBytes - 4 > 0xFFFF ? 10 : frame.readableBytes - 2 > 125 ? 4 : 2
            let payload = frame.getSlice(at: header, length: frame.readableBytes - header)!
            precondition(used.message(payload, isText: false) == .binary(message), "it is not what it was")
        case .violation(let code, _): precondition(code == .invalidData || code == .tooBig)
        default: preconditionFailure("\(event)")
        }
    }

    // libFuzzer has one thread.
    nonisolated(unsafe) private static let usedInflater = MessageInflater(maximumMessageBytes: 20_000)
    // libFuzzer has one thread.
    nonisolated(unsafe) private static let deflater: MessageDeflater = {
        var configuration = CompressionConfiguration()
        configuration.threshold = 0
        return MessageDeflater(configuration)
    }()

    /// A request: the parser, with the bytes at once and one by one, and the checks of a handshake.
    @Sendable static func requests(_ input: [UInt8]) {
        var whole = RequestHeadParser(), single = RequestHeadParser()
        guard case .head(let head, let rest) = whole.feed(ByteBuffer(bytes: input)) else { return }
        for byte in input.dropLast(rest.readableBytes + 1) {
            guard case .needsMore = single.feed(ByteBuffer(bytes: [byte])) else { preconditionFailure("too early") }
        }
        guard case .head = single.feed(ByteBuffer(bytes: [UInt8(ascii: "\n")])) else { preconditionFailure("too late") }
        credentials(LoginRequest(uri: head.target, headers: head.headers), size: input.count)
        do throws(Refusal) {
            try HandshakeGuard.checkRequest(head)
            let route = router.routes[router.match(head.path)?.index ?? 0]
            let page = RequestOrigin(head, AllowedHosts([".example.com", "https://site.example:8443"])).page
            let count = CrossOrigin.fields(for: page).count
            precondition([1, 4].contains(count) && (page != nil || count == 1))
            checkLines(SwitchingAnswer.eventStream(page: page), 7 + count)
            if let page { checkLines(CrossOrigin.preflight(page: page, names: ["x-key"]), 7 + count) }
            let offer = SubprotocolOffer(head.values(of: "sec-websocket-protocol"))
            let choice = offer.choice(of: route)
            precondition(choice.map { offer.entries.contains($0) && RequestHeadParser.isToken($0) } ?? true)
            precondition(choice.map { !SubprotocolOffer.isBearer($0) || offer.entries == [$0] } ?? true)
            let wish = try RequestedTransport(head)
            let fields = head.values(of: "sec-websocket-extensions")
            let agreement = try DeflateAgreement.negotiate(fields, compression)
            guard case .webSocket(let key) = wish else { return }
            let answer = SwitchingAnswer.webSocket(key: key, deflate: agreement, subprotocol: choice)
            checkLines(answer, 6 + (agreement == nil ? 0 : 1) + (choice == nil ? 0 : 1))
        } catch {
            precondition(error.status.code >= 400)
        }
    }

    /// Nothing that the client sent may end a line of a response.
    private static func checkLines(_ answer: ByteBuffer, _ count: Int) {
        precondition(String(buffer: answer).components(separatedBy: "\r\n").count == count, "another line")
    }

    /// The parts of a request where a token or a session may be.
    private static func credentials(_ request: LoginRequest, size: Int) {
        var location = TokenLocation()
        location.cookie = "token"
        do throws(LoginFailure) {
            let token = try location.token(request)
            precondition(token.utf8.count <= size * 3, "a token is longer than what was sent")
        } catch {
            guard case .refused = error else { preconditionFailure("\(error)") }
        }
        if let cookie = RequestCookies.value("sessionid", in: request.headers) {
            precondition(!cookie.utf8.contains(UInt8(ascii: ";")))
        }
    }

    /// The PROXY protocol's header, at once and byte by byte.
    @Sendable static func proxies(_ input: [UInt8]) {
        var whole = ProxyHeaderParser(), single = ProxyHeaderParser()
        let outcome = whole.feed(ByteBuffer(bytes: input))
        var last = ProxyHeaderParser.Outcome.needsMore
        var taken = 0
        for byte in input where last == .needsMore {
            last = single.feed(ByteBuffer(bytes: [byte]))
            taken += 1
        }
        precondition(taken <= ProxyHeaderParser.maximumBinaryBytes, "it waits for too much")
        guard case .header(let source, let rest) = outcome else { return precondition(outcome == last) }
        precondition(last == .header(source: source, rest: ByteBuffer()), "bytes in pieces mean something else")
        precondition(taken + rest.readableBytes == input.count, "bytes were lost")
    }

    private static let compression: CompressionConfiguration = {
        var configuration = CompressionConfiguration()
        configuration.isEnabled = true
        return configuration
    }()

    private static let router = Router(routes: [
        try! Route(path: PathTemplate("/ws/{room}"), groups: [GroupTemplate("{room}")]),
        try! Route(path: PathTemplate("/users/isinsufficient"), groups: [GroupTemplate("news")]),
    ])
}
