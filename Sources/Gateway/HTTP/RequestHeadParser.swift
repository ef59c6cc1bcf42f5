import NIOCore

/// Collects and parses the bytes of one request head, strictly (RFC 9112 sections 2 to 5).
///
/// A handshake is a single GET without a body on its own connection, so little of HTTP is needed. Anything unusual is
/// refused: bare CR or LF, folded lines, spaces before a colon, control characters, invalid characters in names. Requests
/// on which two parsers disagree are how requests are smuggled past proxies. A value without I/O.
struct RequestHeadParser {
    enum Outcome {
        case needsMore
        /// rest: bytes after the head.
        case head(RequestHead, rest: ByteBuffer)
        case malformed
    }

    private var bytes: [UInt8] = []

    /// Bytes of the head received so far.
    var count: Int { bytes.count }

    mutating func feed(_ input: ByteBuffer) -> Outcome {
        guard input.readableBytes > 0 else { return .needsMore }
        let start = bytes.count
        bytes.append(contentsOf: input.readableBytesView)
        guard bytes[0] >= UInt8(ascii: "A"), bytes[0] <= UInt8(ascii: "Z") else { return .malformed }
        var index = start
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\n") {
                guard index > 0, bytes[index - 1] == UInt8(ascii: "\r") else { return .malformed }
                if index >= 3, bytes[index - 2] == UInt8(ascii: "\n") { return finish(end: index + 1) }
            } else if index > 0, bytes[index - 1] == UInt8(ascii: "\r") || byte < 0x20 && !Self.isSpacing(byte) {
                return .malformed
            } else if byte == 0x7F {
                return .malformed
            }
            index += 1
        }
        return .needsMore
    }

    private static func isSpacing(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r") }

    /// Parses the complete head: every line ends with CR LF, and the last one is empty.
    private mutating func finish(end: Int) -> Outcome {
        let rest = ByteBuffer(bytes: bytes[end...])
        bytes.removeSubrange(end...)
        var fields: [RequestHead.Field] = []
        fields.reserveCapacity(16)
        guard var lineEnd = lineEnd(from: 0), let (method, target, version) = requestLine(0..<lineEnd) else {
            return .malformed
        }
        while lineEnd + 4 < end {
            let start = lineEnd + 2
            guard let next = self.lineEnd(from: start), let field = field(start..<next) else { return .malformed }
            fields.append(field)
            lineEnd = next
        }
        return .head(
            RequestHead(bytes: bytes, method: method, target: target, version: version, fields: fields), rest: rest)
    }

    /// Index of the line's CR.
    private func lineEnd(from start: Int) -> Int? { bytes[start...].firstIndex(of: UInt8(ascii: "\r")) }

    /// `GET /path HTTP/1.1`: three parts, separated by single spaces.
    private func requestLine(_ line: Range<Int>) -> (Range<Int>, Range<Int>, Range<Int>)? {
        guard let first = bytes[line].firstIndex(of: UInt8(ascii: " ")),
            let second = bytes[(first + 1)..<line.upperBound].firstIndex(of: UInt8(ascii: " "))
        else { return nil }
        let method = line.lowerBound..<first, target = (first + 1)..<second, version = (second + 1)..<line.upperBound
        guard !method.isEmpty, !target.isEmpty, bytes[method].allSatisfy(Self.isTokenByte),
            bytes[target].allSatisfy({ $0 > 0x20 && $0 < 0x7F }), bytes[version].starts(with: "HTTP/".utf8)
        else { return nil }
        return (method, target, version)
    }

    private func field(_ line: Range<Int>) -> RequestHead.Field? {
        guard let colon = bytes[line].firstIndex(of: UInt8(ascii: ":")), colon > line.lowerBound else { return nil }
        let name = line.lowerBound..<colon
        guard bytes[name].allSatisfy(Self.isTokenByte) else { return nil }
        return RequestHead.Field(name: name, value: RequestHead.trim((colon + 1)..<line.upperBound, in: bytes))
    }

    /// Whether the text is a token (RFC 9110 section 5.6.2): a header name, a method, a subprotocol.
    static func isToken(_ text: String) -> Bool { !text.isEmpty && text.utf8.allSatisfy(isTokenByte) }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
            UInt8(ascii: "!"), UInt8(ascii: "#")...UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"),
            UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
            true
        default: false
        }
    }
}
