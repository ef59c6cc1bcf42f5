import Broker
import Foundation
import NIOCore
import Testing

@testable import ChannelLayer
@testable import RedisClient

/// Compares the calls of `LayerFunctions` with the table at the head of `redis/tocsin.lua`.
struct LibraryContractTests {
    /// A row of the table.
    struct Row {
        var name: String
        var keys: [Substring]
        var arguments: [Element]
    }

    /// One element of the column ARGV.
    enum Element {
        /// `message`
        case one
        /// `[TTL s]`, `[WAIT]`
        case option(String, hasValue: Bool)
        /// `[known]`
        case optional
        /// `channel...`, `(channel user info)...`: this many per key, or repeated any number of times if there are no keys.
        case each(Int)
        /// `[bytes...]`
        case optionalEach

        static func all(_ column: Substring) -> [Element] {
            let pattern = /\[([A-Z]+)( \w+)?\]|\[\w+(\.\.\.)?\]|\((\w+(?: \w+)*)\)\.\.\.|\w+(\.\.\.)?/
            return column.matches(of: pattern).map { match in
                if let name = match.1 { return .option(String(name), hasValue: match.2 != nil) }
                if match.0.hasPrefix("[") { return match.3 == nil ? .optional : .optionalEach }
                if let sequence = match.4 { return .each(sequence.split(separator: " ").count) }
                return match.5 == nil ? .one : .each(1)
            }
        }
    }

    static let table: [Row] = {
        let lines = String(buffer: FunctionLibrary.source).split(separator: "\n", omittingEmptySubsequences: false)
        let start = lines.firstIndex { $0.hasPrefix("-- function ") }!
        let head = lines[start]
        // The columns are aligned with their titles.
        let columns = ["KEYS", "ARGV", "answer"].map { title in
            head.distance(from: head.startIndex, to: head.range(of: title)!.lowerBound)
        }
        return lines[(start + 1)...].prefix { $0 != "--" }.map { line in
            func cell(_ column: Int) -> Substring {
                line.dropFirst(columns[column]).prefix(columns[column + 1] - columns[column])
            }
            return Row(
                name: String(line.dropFirst(3).prefix { $0 != " " }),
                keys: cell(0).split(separator: " ").filter { $0 != "-" }, arguments: Element.all(cell(1)))
        }
    }()

    /// Every call, in its shortest and its longest form.
    static let calls: [(function: LayerFunction, words: [String])] = {
        let functions = LayerFunctions(keys: LayerKeys())
        let group = try! GroupName("g"), other = try! GroupName("h")
        let member = Member(connection: ConnectionID(value: 1), user: "42", info: ByteBuffer(string: "{}"))
        let nobody = Member(connection: ConnectionID(value: 2), user: nil)
        let place = ReadPlace(group: group, since: Position("1.2:3"))
        var calls: [(LayerFunction, [String])] = []
        func add<A>(_ call: FunctionCall<A>) { calls.append((call.function, words(call.command))) }
        add(functions.groupSend(ByteBuffer(string: "{}"), to: group))
        add(functions.groupSend(ByteBuffer(string: "{}"), to: group, SendOptions(ttl: 5, key: "k")))
        var options = SendOptions(ttl: 5, key: "k")
        (options.size, options.collapse, options.urgency) = (3, "c", .high)
        options.escalation = .init(after: 300, unless: .read)
        options.time = .after(60)
        add(functions.groupSend(ByteBuffer(string: "{}"), to: group, options))
        options.time = .at(1_795_351_382.5)
        add(functions.groupSend(ByteBuffer(string: "{}"), to: group, options))
        let position = Position("1.2:3")!
        for mark in [ReadMark.upTo(position), .one(position), .unreadOne(position), .all] {
            add(functions.markRead(mark, in: group, user: "42"))
        }
        add(functions.markDelivered([Confirmation(group: group, user: "42", position: position, after: 1)]))
        add(
            functions.markDelivered([
                Confirmation(group: group, user: nil, position: position),
                Confirmation(group: other, user: "42", position: position),
            ]))
        add(functions.inbox(of: group, user: nil, before: nil, limit: 0))
        add(functions.inbox(of: group, user: "42", before: position, limit: 50))
        add(functions.receipts(of: group, at: position))
        add(functions.scheduleCancel("ab@g", in: group))
        add(functions.scheduleList(limit: 10))
        add(functions.scheduleList(limit: 10, group: group))
        add(functions.dueRun(limit: 10))
        add(functions.escalationClaim("site", most: 8, limit: 8, seconds: 60))
        for result in [TaskResult.done, .gone, .retry(milliseconds: 5, reason: "500"), .dead(reason: "410")] {
            add(functions.escalationFinish("site", "esc_1/site", attempt: 1, result))
        }
        add(functions.escalationList(limit: 10))
        add(functions.escalationRetry(nil))
        add(functions.escalationRetry("esc_1/site"))
        add(functions.pushSet(ByteBuffer(string: "{}"), id: "ab", of: "42"))
        add(functions.pushDelete("ab", of: "42"))
        add(functions.userGroups("42"))
        add(functions.userErase("42"))
        add(functions.policySet([], known: nil, targets: ByteBuffer(string: "{}")))
        let channel = try! ChannelName("tasks")
        add(functions.channelSend(ByteBuffer(string: "{}"), to: channel))
        add(functions.groupAdd([(group, member)], gateway: "gw", lease: "gw@a:1", expiry: 60))
        add(functions.groupAdd([(group, member), (other, nobody)], gateway: "gw", lease: "gw@a:1", expiry: 60))
        add(functions.groupDiscard([(group, member.connection)], gateway: "gw", lease: "gw"))
        add(
            functions.groupDiscard(
                [(group, member.connection), (other, nobody.connection)], gateway: "gw", lease: "gw"))
        add(functions.groupPosition(of: group))
        add(functions.groupRead([(place, 100)], limit: 10, budget: 1000))
        add(functions.groupRead([(place, 100), (ReadPlace(group: other, since: nil), 5)], limit: 10, budget: 1000))
        add(functions.gatewayLease("gw", seconds: 15, canary: "", fields: []))
        add(functions.gatewayLease("gw", seconds: 15, canary: "c", fields: [("process", "a"), ("link", "1")]))
        add(functions.gatewayRelease("gw", process: "a"))
        add(functions.gatewaySweep(limit: 10))
        add(functions.gatewayRetain(expiry: 60, from: 0, limit: 10))
        add(functions.gatewayTrial(presence: false, replicas: .zero))
        add(functions.gatewayTrial(presence: true, replicas: .all))
        add(functions.gatewayTrial(presence: true, replicas: .all, lists: true))
        add(functions.gatewayTrial(presence: true, replicas: .all, scans: true, workers: [try! ChannelName("tasks")]))
        add(functions.gatewayTrial(presence: true, replicas: .all, lists: true, scans: true))
        add(functions.gatewayCollect("gw", limit: 10))
        add(functions.gatewayCollect("gw", limit: 10, push: .left))
        add(functions.outgoingCollect(limit: 10))
        add(functions.outgoingCommit("1-0", ByteBuffer(string: "t")))
        add(functions.relayCollect(inbox: 14, limit: 10))
        add(functions.relayCollect(inbox: 14, limit: 10, push: .right))
        add(functions.relayCommit("1-0", ByteBuffer(string: "{}"), to: [group, other], inbox: 14))
        add(functions.relayDrop("1-0", inbox: 14))
        add(functions.policySet([], known: nil))
        add(functions.policySet([GroupPolicy(match: "*")], known: 3))
        add(functions.policySet([], known: nil, layer: ByteBuffer(string: "{}")))
        add(functions.tocsinVersion)
        return calls
    }()

    private static let readOnly: Set<LayerFunction> = [
        .groupRead, .inbox, .receipts, .scheduleList, .escalationList, .userGroups,
    ]

    /// A command's arguments, parsed as Redis does.
    private static func words(_ command: RedisCommand) -> [String] {
        var bytes = ByteBuffer()
        command.write(to: &bytes)
        let reader = RedisReplyReader(maximumBytes: 1 << 20)
        try! reader.feed(bytes)
        return try! reader.next { view in (1..<view.count).map { index in view.text(view[index]) } }!
    }

    @Test func `The table names the functions that gateways call, and no others`() {
        #expect(Self.table.map(\.name).sorted() == LayerFunction.allCases.map(\.rawValue).sorted())
        #expect(Set(Self.calls.map(\.function)) == Set(LayerFunction.allCases))
    }

    @Test func `Each call has the keys of its row`() throws {
        for (function, words) in Self.calls {
            let row = try #require(Self.table.first { $0.name == function.rawValue })
            #expect(words[0] == (Self.readOnly.contains(function) ? "FCALL_RO" : "FCALL") && words[1] == row.name)
            let keys = words[3..<3 + (Int(words[2]) ?? 0)]
            var names = row.keys
            let repeats = names.last == "..."
            if repeats { names.removeLast() }
            // A commit without groups removes a message.
            #expect(keys.count == names.count || repeats && keys.count > names.count || words.count == 5, "\(words)")
            for (key, name) in zip(keys, names + keys.map { _ in "PREFIX:group:G" }) {
                switch name {
                case "PREFIX:group:G": #expect(key == "asgi:group:g" || key == "asgi:group:h")
                case "PREFIX:channel:NAME": #expect(key == "asgi:channel:tasks")
                case "inbox": #expect(key == "asgispecific.tocsin-0e!" || key == "asgispecific.gw!")
                case "staging": #expect(key == "tocsin:staging:0e")
                default: #expect(Bool(false), "an unknown key: \(name)")
                }
            }
        }
    }

    @Test func `Each call has the arguments of its row, in their order`() throws {
        for (function, words) in Self.calls {
            let row = try #require(Self.table.first { $0.name == function.rawValue })
            let keys = Int(words[2]) ?? 0
            var left = words.dropFirst(3 + keys)
            for element in row.arguments {
                switch element {
                case .one:
                    // A commit without groups has no message.
                    #expect(!left.isEmpty || function == .relayCommit, "\(words)")
                    left = left.dropFirst()
                case .option(let name, let hasValue):
                    if left.first == name { left = left.dropFirst(hasValue ? 2 : 1) }
                case .optional: left = left.dropFirst()
                case .each(let length):
                    #expect(left.count % length == 0, "\(words)")
                    left = left.dropFirst(keys == 0 ? left.count : keys * length)
                case .optionalEach: left = left.dropFirst(min(keys, left.count))
                }
            }
            #expect(left.isEmpty, "\(function.rawValue): \(left) of \(words)")
        }
    }

    @Test func `A connection without user or info has empty texts in their places`() {
        let words = Self.calls.first { $0.words.contains("specific.gw!0000000000000002") }!.words
        #expect(
            words.suffix(6) == ["specific.gw!0000000000000001", "42", "{}", "specific.gw!0000000000000002", "", ""])
    }

    @Test func `Policies are a JSON array, their patterns as strings whatever is in them`() {
        func text(_ policies: GroupPolicy...) -> String { String(buffer: GroupPolicy.rules(policies)) }
        #expect(text() == "[]")
        #expect(text(GroupPolicy(match: "*")) == #"[{"match":"*","size":100,"ttl":86400}]"#)
        #expect(
            text(
                GroupPolicy(match: "*isInsufficient", historySize: 1000, historyTTL: 604_800),
                GroupPolicy(match: "a\"b\\c\n", historySize: 0, historyTTL: 1))
                == #"[{"match":"*isInsufficient","size":1000,"ttl":604800},{"match":"a\"b\\c\n","size":0,"ttl":1}]"#)
    }

    @Test func `Policies that are the same have the same digest, as Redis stores them too`() {
        let policies = [GroupPolicy(match: "a", historySize: 5), GroupPolicy(match: #"b","rules":"#)]
        let digest = PolicyDigest.of(policies)
        #expect(digest.count == 8 && digest == PolicyDigest.of(policies))
        #expect(digest != PolicyDigest.of([policies[1], policies[0]]))
        let stored = #"{"version":12,"rules":\#(String(buffer: GroupPolicy.rules(policies)))}"#
        #expect(PolicyDigest.of(stored: stored) == digest)
        #expect(PolicyDigest.of(stored: "") == nil)
    }
}
