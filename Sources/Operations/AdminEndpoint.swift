public import Broker
public import NIOCore
public import NIOHTTP1

/// A request to the admin port.
public struct AdminRequest: Sendable {
    public var method: HTTPMethod
    /// Without the query.
    public var path: String
    /// The path parameters' values, percent-decoded.
    public var parameters: [String: String] = [:]
    /// The query's values, percent-decoded; of repeated names the last.
    public var query: [String: String] = [:]
    public var headers = HTTPHeaders()
    public var body = ByteBuffer()
}

public struct AdminAnswer: Sendable {
    public var status: HTTPResponseStatus
    public var headers: [(String, String)] = []
    public var contentType: String
    public var body: ByteBuffer

    public init(_ status: HTTPResponseStatus, contentType: String = "text/plain; charset=utf-8", _ text: String) {
        self.status = status
        self.contentType = contentType
        body = ByteBuffer(string: text)
    }

    /// - Parameter entries: writes those of the one object that the answer is.
    public static func json(
        _ status: HTTPResponseStatus, _ entries: (inout JSONWriter) -> Void
    ) -> AdminAnswer {
        var answer = AdminAnswer(status, contentType: "application/json", "")
        answer.body.writeJSONObject(entries)
        answer.body.writeStaticString("\n")
        return answer
    }
}

/// One endpoint of the admin port.
public struct AdminEndpoint: Sendable {
    public enum Work: Sendable {
        /// Called on the request's event loop; must not block.
        case now(@Sendable (AdminRequest) -> AdminAnswer)
        case later(@Sendable (AdminRequest) async -> AdminAnswer)
    }

    /// A query parameter or header that a request may have.
    public struct Parameter: Sendable {
        public enum Place: String, Sendable { case query, header }
        public var name: String
        public var place: Place
        public var meaning: String

        public init(_ name: String, _ place: Place, _ meaning: String) {
            self.name = name
            self.place = place
            self.meaning = meaning
        }
    }

    /// Whether a request has a body, which is a JSON object.
    public enum Body: Sendable { case none, optional, required }

    /// A status that is no error.
    public struct Success: Sendable {
        public var status: Int
        public var meaning: String

        public init(_ status: Int, _ meaning: String) {
            self.status = status
            self.meaning = meaning
        }
    }

    public var method: HTTPMethod
    /// Literal and `{name}` segments.
    public var path: String
    /// One line for the index at `/`.
    public var summary: String
    public var level: AdminAccess.Level
    public var work: Work
    /// In the query and the headers.
    public var parameters: [Parameter]
    public var body: Body
    public var successes: [Success]
    private let segments: [Substring]

    public init(
        _ method: HTTPMethod, _ path: String, _ summary: String, _ level: AdminAccess.Level, _ work: Work,
        _ parameters: [Parameter] = [], body: Body = .none, successes: [Success] = [Success(200, "done")]
    ) {
        self.method = method
        self.path = path
        self.summary = summary
        self.level = level
        self.work = work
        self.parameters = parameters
        self.body = body
        self.successes = successes
        segments = path.split(separator: "/", omittingEmptySubsequences: false)
    }

    /// The values of the path's parameters; nil: the path does not match.
    func match(_ path: Substring) -> [String: String]? {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == segments.count else { return nil }
        var values: [String: String] = [:]
        for (segment, part) in zip(segments, parts) {
            if segment.hasPrefix("{") {
                guard let value = PercentDecoding.decode(part), !value.isEmpty else { return nil }
                values[String(segment.dropFirst().dropLast())] = value
            } else if segment != part {
                return nil
            }
        }
        return values
    }
}
