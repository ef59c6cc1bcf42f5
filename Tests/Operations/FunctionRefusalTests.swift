import Foundation
import Testing

@testable import Operations

/// What the functions in Redis refuse, and what people are told to do about it.
struct FunctionRefusalTests {
    @Test(arguments: FunctionRefusal.known.map(\.text))
    func `Each refusal that has a remedy is an error of the library`(text: String) throws {
        let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let library = try String(contentsOf: repository.appendingPathComponent("redis/tocsin.lua"), encoding: .utf8)
        // The library writes this number from the constant that it compares with.
        #expect(library.contains("due.SUBSCRIPTIONS = 20 "))
        let written = library.replacingOccurrences(of: "' .. due.SUBSCRIPTIONS .. '", with: "20")
        #expect(written.contains("'ERR tocsin: \(text)"))
    }

    @Test func `A text that names its own remedy keeps it`() {
        let refusal = FunctionRefusal("the user has 20 push subscriptions already; use another")
        #expect(refusal.code == "too_many_subscriptions")
        #expect(refusal.text == "the user has 20 push subscriptions already: use another")
    }
}
