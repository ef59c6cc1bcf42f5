import Broker
import Foundation
import NIOCore

/// What is wrong with an entry of a login's JSON. Repeats no value.
struct ClaimError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// How the entries of a login's JSON are read: a site's answer, a token's claims, a session.
extension JSONFields {
    /// Who it is. A number is taken as the text that was written. nil when it is missing, empty, or neither.
    func user(_ key: String) -> String? {
        // Python's -Infinity begins as a number does.
        let user = string(key) ?? number(key).flatMap { $0.last?.isNumber == true ? $0 : nil }
        return user.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Names of groups; none when the entry is missing or `null`.
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

    /// A list of texts, and nothing else; nil when it is none.
    func texts(_ key: String) -> [String]? {
        raw(key).flatMap { try? JSONDecoder().decode([String].self, from: Data($0.readableBytesView)) }
    }

    /// Seconds since 1970, perhaps with a fraction (RFC 7519 section 2, NumericDate). nil when it is none, or so far away that
    /// it is a mistake (milliseconds, for one).
    func date(_ key: String) -> Double? {
        guard let text = number(key), let seconds = Double(text), abs(seconds) < 1e11 else { return nil }
        return seconds
    }

    /// An object as one line, whatever its writer's spelling: it is passed on inside of other JSON.
    func oneLineObject(_ key: String) -> ByteBuffer? {
        raw(key).flatMap { try? JSONText.object($0, removing: []).text }
    }

    /// All scalar entries as text: strings, numbers as they were written, `true`, `false`.
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
