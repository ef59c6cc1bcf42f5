/// Whether and how messages to clients are compressed (permessage-deflate, RFC 7692).
public struct CompressionConfiguration: Sendable, Equatable {
    /// Whether to accept clients' offers of compression. Default: no.
    public var isEnabled = false
    /// Messages below this many bytes are sent uncompressed. Default 1,024.
    public var threshold = 1024
    /// zlib's level, 1 (fast) to 9 (small). Default 6.
    public var level = 6
    /// Window for sent messages, as a power of two in bytes, 9 to 15. Each event loop needs four windows plus 128 KiB, each
    /// client one window. Default 15.
    public var windowBits = 15

    public init() {}
}
