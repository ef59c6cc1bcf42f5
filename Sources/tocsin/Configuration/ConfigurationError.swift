/// What is wrong with the configuration: where, what, and what would be right.
struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
