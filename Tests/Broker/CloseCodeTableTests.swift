import Broker
import Foundation
import Testing

/// The table in docs/protocol.md matches the code.
struct CloseCodeTableTests {
    @Test func `The table has every code of ours, once, and no other`() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: root.appendingPathComponent("docs/protocol.md"), encoding: .utf8)
        let section = try #require(page.components(separatedBy: "## Closing codes").last)
        let codes = section.matches(of: /(?m)^\| (\d{4}) \|/).compactMap { UInt16($0.1) }
        #expect(codes == codes.sorted())
        #expect(codes == CloseCode.allCases.map(\.rawValue).sorted())
    }
}
