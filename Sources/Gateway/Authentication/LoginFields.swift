import Broker
import Foundation
import NIOCore

/// Describes an invalid entry in a login's JSON. Never includes the entry's value.
struct ClaimError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Typed access to a login's JSON: a site's answer, a token's claims, a session.
extension JSONFields {
    /// The user's id: a string, or a number exactly as written. nil when missing, empty or of another type.
    func user(_ key: String) -> String? {
        // Python writes -Infinity, which starts like a number.
        let user = string(key) ?? number(key).flatMap { $0.last?.isNumber == true ? $0 : nil }
        return user.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// A list of group names; empty when the entry is missing or `null`.
    func groups(_ key: String) throws(ClaimError) -> [GroupName] {
        guard raw(key) != nil else { return [] }
        guard let names = texts(key) else { throw ClaimError("the \"\(key)\" are not a list of names") }
        var groups: [GroupName] = []
        for name in names {
            do { groups.append(try GroupName(name)) } catch {
                throw ClaimError("the \"\(key)\" contain an invalid group name")
            }
        }
        return groups
    }

    /// A list of strings; nil when the entry is anything else.
    func texts(_ key: String) -> [String]? {
        raw(key).flatMap { try? JSONDecoder().decode([String].self, from: Data($0.readableBytesView)) }
    }

    /// Seconds since 1970, possibly with a fraction (NumericDate, RFC 7519 section 2). nil when it is not a number, or too far
    /// from now to be seconds (milliseconds, for example).
    func date(_ key: String) -> Double? {
        guard let text = number(key), let seconds = Double(text), abs(seconds) < 1e11 else { return nil }
        return seconds
    }

    /// An object re-serialized to one line, so that it can be embedded in other JSON.
    func oneLineObject(_ key: String) -> ByteBuffer? {
        raw(key).flatMap { try? JSONText.object($0, removing: []).text }
    }

    /// All scalar entries as strings: strings, numbers as written, `true` and `false`.
    var scalars: [String: String] {
        var scalars: [String: String] = [:]
        for key in keys {
            if let text = string(key) ?? number(key) {
                scalars[key] = text
            } else if let value = raw(key), value.readableBytes <= 5 {
                let text = String(buffer: value)
                if text == "true" || text == "false" { scalars[key] = text }
            }
        }
        return scalars
    }
}
