public import NIOCore

/// The entries of an object: a key and its value in one call.
extension JSONWriter {
    public mutating func object<Failure: Error>(
        _ key: String, _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        self.key(key)
        try object(body)
    }

    public mutating func array<Failure: Error>(
        _ key: String, _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        self.key(key)
        try array(.compact, body)
    }

    /// - Parameter value: nil is written as `null`.
    public mutating func string(_ key: String, _ value: String?) {
        self.key(key)
        string(value)
    }

    public mutating func number(_ key: String, _ value: some FixedWidthInteger) {
        self.key(key)
        number(value)
    }

    /// - Parameter value: NaN and the infinities are written as `null`.
    public mutating func number(_ key: String, _ value: Double) {
        self.key(key)
        number(value)
    }

    public mutating func bool(_ key: String, _ value: Bool) {
        self.key(key)
        bool(value)
    }

    /// - Parameter value: JSON; nil is written as `null`.
    public mutating func raw(_ key: String, _ value: ByteBuffer?) {
        self.key(key)
        raw(value)
    }

    /// - Parameter value: JSON.
    public mutating func raw(_ key: String, _ value: String) {
        self.key(key)
        raw(value)
    }
}
