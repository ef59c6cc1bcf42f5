import NIOCore

/// CORS (WHATWG Fetch, "CORS protocol"): lets a page of an allowed Origin read responses and send custom headers. Without
/// it a browser only tells the page that the request failed.
enum CrossOrigin {
    /// The header fields for every response, refusals included.
    ///
    /// - Parameter page: the Origin that may read the response; nil: none.
    static func fields(for page: String?) -> [(String, String)] {
        let vary = ("Vary", "Origin")
        guard let page, page.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else { return [vary] }
        return [
            vary, ("Access-Control-Allow-Origin", page), ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Expose-Headers", "Retry-After"),
        ]
    }

    /// Whether this is a CORS preflight: a browser asking whether a page may send a request (a stream with `Authorization`,
    /// for example). Other OPTIONS requests are not.
    static func isPreflight(_ head: RequestHead) -> Bool {
        head.method == "OPTIONS" && head.has("origin") && head.has("access-control-request-method")
    }

    /// The response to a preflight. It does not depend on the path: if the actual request is refused, the page can read why.
    ///
    /// - Parameter names: headers that the route's logins read, in lowercase.
    static func preflight(page: String, names: [String]) -> ByteBuffer {
        var allowed = usualNames
        for name in names where !allowed.contains(name) && !isBrowsers(name) { allowed.append(name) }
        var text = "HTTP/1.1 204 No Content\r\nConnection: close\r\nAccess-Control-Allow-Methods: GET, POST\r\n"
        text += "Access-Control-Allow-Headers: \(allowed.joined(separator: ", "))\r\n"
        text += "Access-Control-Max-Age: \(maximumAge)\r\n"
        for (name, value) in fields(for: page) { text += "\(name): \(value)\r\n" }
        return ByteBuffer(string: text + "\r\n")
    }

    /// Headers for tokens and cursors, and those that stream libraries add. A fixed list, not whatever is requested: a page
    /// must not be able to set a header in which a proxy names the user.
    private static let usualNames = [
        "accept", "authorization", "cache-control", "content-type", "last-event-id", "pragma", "x-accel-buffering",
        "x-requested-with",
    ]

    /// Seconds that a browser may cache the response. Chromium caps it at two hours.
    private static let maximumAge = 7200

    /// Names that a page cannot set, or that are not header names.
    private static func isBrowsers(_ name: String) -> Bool {
        name == "cookie" || name == "origin" || !RequestHeadParser.isToken(name)
    }
}
