import Foundation
import NIOCore
import TestSupport
import Testing

@testable import Broker

/// Random values, written and read again: by Foundation, and by the scanner that judges messages.
struct JSONWriterTreeTests {
    private indirect enum Tree: Equatable, Decodable {
        case null
        case bool(Bool)
        case integer(Int64)
        case double(Double)
        case string(String)
        case array([Tree])
        case object([String: Tree])

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if value.decodeNil() {
                self = .null
            } else if let flag = try? value.decode(Bool.self) {
                self = .bool(flag)
            } else if let number = try? value.decode(Int64.self) {
                self = .integer(number)
            } else if let number = try? value.decode(Double.self) {
                self = .double(number)
            } else if let text = try? value.decode(String.self) {
                self = .string(text)
            } else if let elements = try? value.decode([Tree].self) {
                self = .array(elements)
            } else {
                self = .object(try value.decode([String: Tree].self))
            }
        }

        static func random(depth: Int, using generator: inout SeededGenerator) -> Tree {
            switch Int.random(in: 0..<(depth > 0 ? 7 : 5), using: &generator) {
            case 0: return .null
            case 1: return .bool(.random(using: &generator))
            case 2: return .integer(.random(in: .min ... .max, using: &generator))
            case 3:
                // A whole number would be read as an integer.
                let number = Double.random(in: -1e6...1e6, using: &generator)
                return Int64(exactly: number) == nil ? .double(number) : .null
            case 4: return .string(text(using: &generator))
            case 5:
                return .array(
                    (0..<Int.random(in: 0..<5, using: &generator)).map { _ in
                        random(depth: depth - 1, using: &generator)
                    })
            default:
                var entries: [String: Tree] = [:]
                for _ in 0..<Int.random(in: 0..<5, using: &generator) {
                    entries[text(using: &generator)] = random(depth: depth - 1, using: &generator)
                }
                return .object(entries)
            }
        }

        /// Of characters that JSON, UTF-8 or Swift treat each in a way of its own.
        static func text(using generator: inout SeededGenerator) -> String {
            let scalars: [ClosedRange<UInt32>] = [
                0...0x1f, 0x20...0x7f, 0x22...0x22, 0x5c...0x5c, 0x80...0x7ff, 0x301...0x301, 0x2028...0x2029,
                0xe000...0xffff, 0x10000...0x10ffff,
            ]
            var text = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 0..<12, using: &generator) {
                let range = scalars.randomElement(using: &generator)!
                text.append(Unicode.Scalar(UInt32.random(in: range, using: &generator))!)
            }
            return String(text)
        }

        func write(to json: inout JSONWriter) {
            switch self {
            case .null: json.null()
            case .bool(let flag): json.bool(flag)
            case .integer(let number): json.number(number)
            case .double(let number): json.number(number)
            case .string(let text): json.string(text)
            case .array(let elements): json.array { json in for element in elements { element.write(to: &json) } }
            case .object(let entries): json.object { write(entries, to: &$0) }
            }
        }

        /// By the keys' order, half of them in one call and half of them in two.
        private func write(_ entries: [String: Tree], to json: inout JSONWriter) {
            for (index, (key, value)) in entries.sorted(by: { $0.key < $1.key }).enumerated() {
                switch value {
                case .string(let text) where index % 2 == 0: json.string(key, text)
                case .integer(let number) where index % 2 == 0: json.number(key, number)
                case .bool(let flag) where index % 2 == 0: json.bool(key, flag)
                case .object(let entries) where index % 2 == 0: json.object(key) { write(entries, to: &$0) }
                default:
                    json.key(key)
                    value.write(to: &json)
                }
            }
        }
    }

    @Test(arguments: 0..<8)
    func `What is written is read again as the same`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let tree = Tree.array((0..<4).map { _ in Tree.random(depth: 4, using: &generator) })
            let text = JSONWriter.object { json in
                json.key("tree")
                tree.write(to: &json)
            }
            let read = try JSONDecoder().decode([String: Tree].self, from: Data(text.readableBytesView))
            try #require(read == ["tree": tree])
            // Strict, and nothing to clean.
            try #require(try JSONText.object(text, removing: []).text == text)
            try #require(
                try JSONFields(text).raw("tree")?.readableBytes == text.readableBytes - #"{"tree":}"#.utf8.count)
        }
    }

    @Test(arguments: 0..<8)
    func `A text is read again as the same by our own reader`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let key = Tree.text(using: &generator), value = Tree.text(using: &generator)
            let fields = try JSONFields(JSONWriter.object { $0.string(key, value) })
            #expect(try #require(fields.string(key)).utf8.elementsEqual(value.utf8))
        }
    }
}
