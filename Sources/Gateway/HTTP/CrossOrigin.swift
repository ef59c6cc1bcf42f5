import NIOCore

/// What lets a page of an allowed Origin read an answer, and ask for one with headers of its own (WHATWG Fetch, "CORS
/// protocol"). Without it a browser tells the page nothing but that the request failed.
enum CrossOrigin {
    /// The fields of every answer, refusals too.
    ///
    /// - Parameter page: the Origin that may read it; nil: none.
    static func fields(for page: String?) -> [(String, String)] {
        let vary = ("Vary", "Origin")
        guard let page, page.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else { return [vary] }
        return [
            vary, ("Access-Control-Allow-Origin", page), ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Expose-Headers", "Retry-After"),
        ]
    }

    /// A browser's question whether a page may send what it is about to (a stream with `Authorization`, for one). Any other
    /// OPTIONS is none.
    static func isPreflight(_ head: RequestHead) -> Bool {
        head.method == "OPTIONS" && head.has("origin") && head.has("access-control-request-method")
    }

    /// The answer to a preflight. It is the same whatever the path: what the page asks then may be refused, and it can read
    /// why.
    ///
    /// - Parameter names: headers that the route's logins read, in lowercase.
    static func preflight(page: String, names: [String]) -> ByteBuffer {
        var allowed = usualNames
        for name in names where !allowed.contains(name) && !isBrowsers(name) { allowed.append(name) }
        var text = "HTTP/1.1 204 No Content\r\nConnection: close\r\nAccess-Control-Allow-Methods: GET\r\n"
        text += "Access-Control-Allow-Headers: \(allowed.joined(separator: ", "))\r\n"
        text += "Access-Control-Max-Age: \(maximumAge)\r\n"
        for (name, value) in fields(for: page) { text += "\(name): \(value)\r\n" }
        return ByteBuffer(string: text + "\r\n")
    }

    /// Tokens and cursors, and what libraries for streams send of themselves. Not whatever is asked for: a header by which a
    /// proxy names the user is none of a page's.
    private static let usualNames = [
        "accept", "authorization", "cache-control", "content-type", "last-event-id", "pragma", "x-accel-buffering",
        "x-requested-with",
    ]

    /// Seconds that a browser may remember the answer. Chromium takes two hours at most.
    private static let maximumAge = 7200

    /// What no page can set, or what is not a name of a header.
    private static func isBrowsers(_ name: String) -> Bool {
        name == "cookie" || name == "origin" || !RequestHeadParser.isToken(name)
    }
}
