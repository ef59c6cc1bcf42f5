import NIOCore
import NIOHTTP1

/// A complete HTTP response, after which the connection is closed.
struct HTTPAnswer {
    let bytes: ByteBuffer

    init(status: HTTPResponseStatus, headers: [(String, String)], contentType: String, body: ByteBuffer) {
        var text = "HTTP/1.1 \(status.code) \(status.reasonPhrase)\r\nContent-Type: \(contentType)\r\n"
        text += "Content-Length: \(body.readableBytes)\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        var bytes = ByteBuffer(string: text + "\r\n")
        bytes.writeImmutableBuffer(body)
        self.bytes = bytes
    }

    /// - Parameter page: the Origin of the page that may read it; nil: none.
    init(_ refusal: Refusal, page: String? = nil) {
        self.init(
            status: refusal.status, headers: refusal.headers + CrossOrigin.fields(for: page),
            contentType: "text/plain; charset=utf-8",
            body: ByteBuffer(string: "\(refusal.status.code) \(refusal.message)\n"))
    }

    /// Prepared in advance: when the process is out of file descriptors, nothing can be set up for the connection.
    static let outOfDescriptors = HTTPAnswer(
        Refusal(
            status: .serviceUnavailable, message: "the gateway is full", headers: [("Retry-After", "5")],
            reason: .descriptors)
    ).bytes
}
