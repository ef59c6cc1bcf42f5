/// The connections that an operator wants to end, on any gateway.
public enum ConnectionSelection: Sendable, Hashable {
    /// All connections of a logged-in user.
    case user(String)
    case connection(ConnectionID)
}
