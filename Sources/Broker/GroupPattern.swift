/// A glob for group names: `*` matches any run of characters, `?` a single one.
public struct GroupPattern: Sendable, Equatable {
    private let pattern: [UInt8]

    public init(_ text: String) { pattern = Array(text.utf8) }

    public func matches(_ group: GroupName) -> Bool {
        let text = Array(group.text.utf8)
        var p = 0, t = 0
        var star: Int?, mark = 0
        while t < text.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                star = p
                mark = t
                p += 1
            } else if p < pattern.count, pattern[p] == UInt8(ascii: "?") || pattern[p] == text[t] {
                p += 1
                t += 1
            } else if let back = star {
                mark += 1
                p = back + 1
                t = mark
            } else {
                return false
            }
        }
        while p < pattern.count, pattern[p] == UInt8(ascii: "*") { p += 1 }
        return p == pattern.count
    }
}
