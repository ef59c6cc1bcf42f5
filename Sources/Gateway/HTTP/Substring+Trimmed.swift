extension Substring {
    /// Without surrounding spaces and tabs (OWS, RFC 9110 section 5.6.3).
    var trimmed: Substring {
        let start = drop { $0 == " " || $0 == "\t" }
        guard let end = start.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return "" }
        return start[...end]
    }
}
