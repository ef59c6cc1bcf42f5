public import NIOHTTP1

/// What a request to the admin port asks for.
public struct AdminRequest: Sendable {
    public var method: HTTPMethod
    /// Without the query.
    public var path: String
}

public struct AdminAnswer: Sendable {
    public var status: HTTPResponseStatus
    public var contentType: String
    public var body: String

    public init(_ status: HTTPResponseStatus, contentType: String = "text/plain; charset=utf-8", _ body: String) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }
}

/// One address of the admin port. `answer` is called on the request's event loop and must not block.
public struct AdminEndpoint: Sendable {
    public var path: String
    /// One line for the index at `/`.
    public var summary: String
    public var answer: @Sendable (AdminRequest) -> AdminAnswer

    public init(_ path: String, _ summary: String, answer: @escaping @Sendable (AdminRequest) -> AdminAnswer) {
        self.path = path
        self.summary = summary
        self.answer = answer
    }
}
