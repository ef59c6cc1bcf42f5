/// Whether and how messages are compressed (permessage-deflate, RFC 7692).
public struct CompressionConfiguration: Sendable, Equatable {
    /// Whether clients that offer it get it. Default: no.
    public var isEnabled = false
    /// Bytes below which a message is sent as it is. Default 1,024.
    public var threshold = 1024
    /// zlib's level, 1 (fast) to 9 (small). Default 6.
    public var level = 6
    /// The window of what is sent: 2 to this power bytes, 9 to 15. An event loop keeps four times as much and 128 KiB, a
    /// client once as much. Default 15.
    public var windowBits = 15

    public init() {}
}
