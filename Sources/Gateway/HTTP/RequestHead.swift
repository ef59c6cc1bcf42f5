import NIOHTTP1

/// A request line and its header fields, stored as ranges of the raw bytes; produced by `RequestHeadParser`.
///
/// Names are matched case-insensitively; values are trimmed (RFC 9112 section 5).
struct RequestHead: Sendable {
    typealias Place = Range<Int>

    struct Field: Sendable {
        var name: Place
        var value: Place
    }

    private let bytes: [UInt8]
    private let methodPlace: Place
    private let targetPlace: Place
    private let versionPlace: Place
    private let fields: [Field]

    init(bytes: [UInt8], method: Place, target: Place, version: Place, fields: [Field]) {
        self.bytes = bytes
        methodPlace = method
        targetPlace = target
        versionPlace = version
        self.fields = fields
    }

    var method: String { text(methodPlace) }
    var target: String { text(targetPlace) }
    /// The target without its query.
    var path: String {
        let end = bytes[targetPlace].firstIndex(of: UInt8(ascii: "?")) ?? targetPlace.upperBound
        return text(targetPlace.lowerBound..<end)
    }
    var fieldCount: Int { fields.count }
    var isGET: Bool { equals(methodPlace, "GET") }
    /// Whether this is a `POST` of JSON: a command on an inbox. A page cannot send that type without a preflight.
    var isCommand: Bool {
        guard equals(methodPlace, "POST"), let type = only("content-type") else { return false }
        return type.prefix { $0 != ";" }.trimmed.lowercased() == "application/json"
    }
    var isHTTP11: Bool { equals(versionPlace, "HTTP/1.1") }
    var isPath: Bool { bytes[targetPlace].first == UInt8(ascii: "/") }

    /// The values of all lines of a field, in order.
    ///
    /// - Parameter name: must be lowercase.
    func values(of name: StaticString) -> [String] {
        var values: [String] = []
        for field in fields where isNamed(field, name) { values.append(text(field.value)) }
        return values
    }

    func first(_ name: StaticString) -> String? { place(of: name).map(text) }
    func last(_ name: StaticString) -> String? {
        fields.last { isNamed($0, name) }.map { text($0.value) }
    }
    func has(_ name: StaticString) -> Bool { place(of: name) != nil }
    /// The field's value if it occurs exactly once, otherwise nil.
    func only(_ name: StaticString) -> String? {
        var only: Place?
        for field in fields where isNamed(field, name) {
            guard only == nil else { return nil }
            only = field.value
        }
        return only.map(text)
    }

    /// Whether one of the field's comma-separated elements is this token, ignoring case.
    ///
    /// - Parameter token: must be lowercase.
    func has(_ name: StaticString, token: StaticString) -> Bool {
        for field in fields where isNamed(field, name) {
            for element in bytes[field.value].split(separator: UInt8(ascii: ",")) {
                let trimmed = Self.trim(element.startIndex..<element.endIndex, in: bytes)
                if equalsLowercased(trimmed, token) { return true }
            }
        }
        return false
    }

    /// All fields, for authenticators.
    var headers: HTTPHeaders { HTTPHeaders(fields.map { (text($0.name), text($0.value)) }) }

    private func text(_ place: Place) -> String { String(decoding: bytes[place], as: UTF8.self) }
    private func isNamed(_ field: Field, _ name: StaticString) -> Bool { equalsLowercased(field.name, name) }
    private func place(of name: StaticString) -> Place? { fields.first { isNamed($0, name) }?.value }

    private func equals(_ place: Place, _ text: StaticString) -> Bool {
        text.withUTF8Buffer { place.count == $0.count && bytes[place].elementsEqual($0) }
    }

    private func equalsLowercased(_ place: Place, _ text: StaticString) -> Bool {
        text.withUTF8Buffer { text in
            guard place.count == text.count else { return false }
            for index in 0..<text.count {
                let byte = bytes[place.lowerBound + index]
                let isCapital = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")
                if (isCapital ? byte | 0x20 : byte) != text[index] { return false }
            }
            return true
        }
    }

    /// Without surrounding spaces and tabs (OWS, RFC 9110 section 5.6.3).
    static func trim(_ place: Place, in bytes: [UInt8]) -> Place {
        func isSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        var (low, high) = (place.lowerBound, place.upperBound)
        while low < high, isSpace(bytes[low]) { low += 1 }
        while high > low, isSpace(bytes[high - 1]) { high -= 1 }
        return low..<high
    }
}
