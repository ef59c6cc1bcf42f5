import NIOHTTP1

/// A request's cookies, read as Python's web frameworks do.
enum RequestCookies {
    /// All Cookie headers joined into one: HTTP/2 may split cookies, and not every proxy rejoins them (RFC 9113 section
    /// 8.2.3). nil when there are none.
    static func joined(_ headers: HTTPHeaders) -> String? {
        let lines = headers["cookie"].filter { !$0.isEmpty }
        return lines.isEmpty ? nil : lines.joined(separator: "; ")
    }

    /// The value of the last cookie with that name, without surrounding quotation marks (Django's `parse_cookie`, which
    /// Channels uses too; RFC 6265 section 4.2.1).
    static func value(_ name: String, in headers: HTTPHeaders) -> String? {
        guard let header = joined(headers) else { return nil }
        var found: Substring?
        for pair in header.split(separator: ";") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0].trimmed == name else { continue }
            found = parts[1].trimmed
        }
        guard var value = found else { return nil }
        if value.count >= 2, value.hasPrefix("\""), value.hasSuffix("\"") { value = value.dropFirst().dropLast() }
        return String(value)
    }
}
