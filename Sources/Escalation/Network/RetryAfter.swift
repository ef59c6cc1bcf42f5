import Glibc

/// The header Retry-After (RFC 9110 section 10.2.3).
enum RetryAfter {
    /// - Parameter now: seconds since 1970.
    /// - Returns: seconds from now, not negative; nil for what is neither seconds nor a date.
    static func seconds(_ text: String, now: Double) -> Double? {
        if text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) { return Double(text) }
        return date(text).map { max($0 - now, 0) }
    }

    /// The one form of HTTP dates that may be sent: `Sun, 06 Nov 1994 08:49:37 GMT` (section 5.6.7).
    private static func date(_ text: String) -> Double? {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[5] == "GMT", parts[0].hasSuffix(","), let day = Int32(parts[1]),
            let month = months.firstIndex(where: { $0 == parts[2] }), let year = Int32(parts[3]),
            (1970...9999).contains(year)
        else { return nil }
        let clock = parts[4].split(separator: ":", omittingEmptySubsequences: false).map { Int32($0) ?? -1 }
        guard clock.count == 3, (0...23).contains(clock[0]), (0...59).contains(clock[1]), (0...60).contains(clock[2]),
            (1...31).contains(day)
        else { return nil }
        var time = tm()
        (time.tm_year, time.tm_mon, time.tm_mday) = (year - 1900, Int32(month), day)
        (time.tm_hour, time.tm_min, time.tm_sec) = (clock[0], clock[1], clock[2])
        return Double(timegm(&time))
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
}
