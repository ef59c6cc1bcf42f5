/// Which connections an operator means to end, on whatever gateway they are.
public enum ConnectionSelection: Sendable, Hashable {
    /// All of a logged-in user.
    case user(String)
    case connection(ConnectionID)
}
