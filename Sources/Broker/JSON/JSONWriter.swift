public import NIOCore

/// Writes JSON text (RFC 8259) into a buffer, value after value; commas and escapes come by themselves.
///
///     let text = JSONWriter.object { json in
///         json.string("user", member.user)
///         json.array("groups") { json in
///             for group in groups { json.string(group.text) }
///         }
///     }
///
/// A container is a closure, so none is left open. In an object each value has a key (JSONWriter+Entries.swift), in an array
/// none has; that is the caller's to keep to.
///
/// It is for answers, replies and lines of a log. Messages do not need it: their JSON is their sender's, and what is put around
/// it once a message are literal bytes (`CentrifugeReply.push`, `MessagePackSink`), which need no look at escapes.
public struct JSONWriter: Sendable {
    /// How the elements of an array stand.
    public enum Layout: Sendable {
        /// Without white space.
        case compact
        /// Each on a line of its own, for eyes and for tools that read lines.
        case lines
    }

    /// What has been written so far.
    public private(set) var text: ByteBuffer
    /// The next value or key is the first of its container, or belongs to a key: no comma goes before it.
    private var isFirst = true
    private var separator: StaticString = ","

    /// - Parameter text: what the JSON is appended to.
    public init(appendingTo text: consuming ByteBuffer = ByteBuffer()) { self.text = text }

    /// The text of one object.
    public static func object<Failure: Error>(
        _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) -> ByteBuffer {
        var json = JSONWriter()
        try json.object(body)
        return json.text
    }

    /// The text of one array.
    public static func array<Failure: Error>(
        _ layout: Layout = .compact, _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) -> ByteBuffer {
        var json = JSONWriter()
        try json.array(layout, body)
        return json.text
    }

    // MARK: Containers

    public mutating func object<Failure: Error>(
        _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        try container("{", "}", separator: ",", body)
    }

    public mutating func array<Failure: Error>(
        _ layout: Layout = .compact, _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        try container("[", "]", separator: layout == .lines ? ",\n " : ",", body)
    }

    private mutating func container<Failure: Error>(
        _ opening: StaticString, _ closing: StaticString, separator inner: StaticString,
        _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        separate()
        text.writeStaticString(opening)
        let outer = separator
        separator = inner
        isFirst = true
        try body(&self)
        separator = outer
        isFirst = false
        text.writeStaticString(closing)
    }

    private mutating func separate() {
        if !isFirst { text.writeStaticString(separator) }
        isFirst = false
    }

    // MARK: Values

    /// The key of the value that is written next.
    public mutating func key(_ key: String) {
        string(key)
        text.writeStaticString(":")
        isFirst = true
    }

    /// - Parameter value: nil is written as `null`.
    public mutating func string(_ value: String?) {
        separate()
        guard let value else { return writeNull() }
        JSONText.appendString(value.utf8, to: &text)
    }

    /// - Parameter value: of at most 64 bits.
    public mutating func number(_ value: some FixedWidthInteger) {
        separate()
        text.writeText(expecting: 20) { writer in
            if value < 0 { writer.byte(UInt8(ascii: "-")) }
            writer.decimal(UInt64(value.magnitude))
        }
    }

    /// The shortest digits that read back as the same number. JSON cannot spell NaN and the infinities: they are `null`.
    public mutating func number(_ value: Double) {
        separate()
        guard value.isFinite else { return writeNull() }
        text.writeString(value.description)
    }

    public mutating func bool(_ value: Bool) {
        separate()
        text.writeStaticString(value ? "true" : "false")
    }

    public mutating func null() {
        separate()
        writeNull()
    }

    /// A value that is JSON already; nil is written as `null`.
    public mutating func raw(_ value: ByteBuffer?) {
        separate()
        guard let value else { return writeNull() }
        text.writeImmutableBuffer(value)
    }

    /// A value that is JSON already: a number in a form of its own.
    public mutating func raw(_ value: String) {
        separate()
        text.writeString(value)
    }

    /// A value that somebody else appends as JSON.
    public mutating func raw(_ write: (inout ByteBuffer) -> Void) {
        separate()
        write(&text)
    }

    private mutating func writeNull() { text.writeStaticString("null") }
}

extension ByteBuffer {
    /// Appends one JSON object.
    public mutating func writeJSONObject<Failure: Error>(
        _ body: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        // The buffer goes into the writer and comes back, so that its storage has one owner and is not copied.
        let text = self
        self = ByteBuffer()
        var json = JSONWriter(appendingTo: consume text)
        defer { self = json.text }
        try json.object(body)
    }
}
