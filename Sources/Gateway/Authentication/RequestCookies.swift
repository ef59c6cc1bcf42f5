import NIOHTTP1

/// The cookies of a request as Python's web frameworks read them.
enum RequestCookies {
    /// All Cookie headers as one: HTTP/2 carries cookies in pieces, and not every proxy puts them together again (RFC 9113
    /// section 8.2.3). nil: there are none.
    static func joined(_ headers: HTTPHeaders) -> String? {
        let lines = headers["cookie"].filter { !$0.isEmpty }
        return lines.isEmpty ? nil : lines.joined(separator: "; ")
    }

    /// The value of the last cookie of that name, without quotation marks around it (Django's `parse_cookie`, which Channels
    /// uses too; RFC 6265 section 4.2.1).
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
