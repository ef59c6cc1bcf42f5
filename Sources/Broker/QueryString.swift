/// The parameters of a request's target, in their order: what stands behind `?`, divided by `&`. A name may come several times.
///
/// Divided by bytes, as the path is: a combining mark behind `&` does not make another character of it. `+` is a plus sign:
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
