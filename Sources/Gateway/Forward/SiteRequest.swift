import AsyncHTTPClient
import NIOCore
import NIOHTTP1

/// Posts a client's message to the site (`receive: { post: URL }`).
enum SiteRequest {
    /// The longest answer, in bytes.
    private static let maximumAnswer = 64 << 10

    /// - Returns: the text for the client: the body of a 200. nil: a 204, or an empty body.
    static func post(
        _ message: ByteBuffer, to site: ForwardPolicy.Site, by client: HTTPClient
    ) async -> Result<ByteBuffer?, ForwardError> {
        var request = HTTPClientRequest(url: site.url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        if let authorization = site.authorization {
            request.headers.add(name: "Authorization", value: authorization)
        }
        request.body = .bytes(message)
        do {
            let (status, body) = try await client.answer(to: request, timeout: site.timeout, maximum: maximumAnswer)
            switch status {
            case .ok:
                guard body.readableBytes > 0 else { return .success(nil) }
                return String(validating: body.readableBytesView, as: UTF8.self) == nil
                    ? .failure(.badAnswer) : .success(body)
            case .noContent: return .success(nil)
            default: return .failure(.siteFailed)
            }
        } catch is NIOTooManyBytesError {
            return .failure(.badAnswer)
        } catch {
            return .failure(.siteFailed)
        }
    }
}
