public import NIOCore

/// Where a site keeps its sessions. Called from any thread.
public protocol SessionStore: Sendable {
    /// The session with this id; nil when there is none, or no more.
    ///
    /// - Parameter id: checked: letters and digits only.
    /// - Throws: whatever keeps the store from answering.
    func session(_ id: String) async throws -> StoredSession?
}

/// A session as its site wrote it.
public struct StoredSession: Sendable, Equatable {
    public var bytes: ByteBuffer
    /// Until it ends, if nothing renews it. nil: it does not end by itself.
    public var secondsLeft: Int64?

    public init(bytes: ByteBuffer, secondsLeft: Int64?) {
        self.bytes = bytes
        self.secondsLeft = secondsLeft
    }
}
