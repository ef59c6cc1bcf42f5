/// A setting or an input that cannot be used. The text names it and the remedy, and contains no secret and no endpoint's path.
public struct EscalationError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
