public import NIOCore

/// Where a site keeps its sessions. Called from any thread.
public protocol SessionStore: Sendable {
    /// Looks up a session; nil when it does not exist or has expired.
    ///
    /// - Parameter id: already validated: letters and digits only.
    /// - Throws: any error that keeps the store from answering.
    func session(_ id: String) async throws -> StoredSession?
}

/// A session as its site stored it.
public struct StoredSession: Sendable, Equatable {
    public var bytes: ByteBuffer
    /// Seconds until it expires if not renewed. nil: it does not expire.
    public var secondsLeft: Int64?

    public init(bytes: ByteBuffer, secondsLeft: Int64?) {
        self.bytes = bytes
        self.secondsLeft = secondsLeft
    }
}
