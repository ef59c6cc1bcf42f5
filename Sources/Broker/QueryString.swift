/// The parameters of a request's target, in order: the part after `?`, split at `&`. A name may occur several times.
///
/// Split by bytes, like the path: a combining mark after `&` does not hide it. `+` is a plus sign:
/// space for `+` is a rule of HTML's forms, and would change a position or a token that somebody did not escape.
public struct QueryString: Sendable, Equatable {
    public struct Parameter: Sendable, Equatable {
        /// As it is written.
        public let name: Substring
        /// As it is written; empty where there is no `=`.
        public let value: Substring
        /// Whether there is a `=`.
        public let hasValue: Bool

        /// nil: an escape is broken, or it is not UTF-8.
        public var decodedName: String? { PercentDecoding.decode(name) }
        /// nil: an escape is broken, or it is not UTF-8.
        public var decodedValue: String? { PercentDecoding.decode(value) }
    }

    public let parameters: [Parameter]

    /// - Parameter target: of the request line: a path, perhaps with a query.
    public init(target: String) {
        let bytes = target.utf8
        guard let mark = bytes.firstIndex(of: UInt8(ascii: "?")) else {
            parameters = []
            return
        }
        parameters = bytes[bytes.index(after: mark)...].split(separator: UInt8(ascii: "&")).map { pair in
            guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else {
                return Parameter(name: Substring(pair), value: "", hasValue: false)
            }
            return Parameter(
                name: Substring(pair[..<equals]), value: Substring(pair[pair.index(after: equals)...]), hasValue: true)
        }
    }
}
