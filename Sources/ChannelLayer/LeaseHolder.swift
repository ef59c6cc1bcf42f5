import Broker
import RedisClient

/// Identifies the holder of a gateway's lease: its name, the process that uses it, and that process' command connection.
///
/// A name belongs to one process at a time, and to one of its connections. A command that was given up but still arrives,
/// because a stalled connection woke up, carries an older link number and is refused by the functions.
struct LeaseHolder {
    let gateway: String
    /// New at each start, which distinguishes a restarted gateway from its predecessor.
    let process: String
    private(set) var link = 0

    init(gateway: String, process: String = ConnectionID.random().description) {
        self.gateway = gateway
        self.process = process
    }

    /// Call when a new command connection is established.
    mutating func linkUp() { link += 1 }

    /// The gateway as `group_add` and `group_discard` take it: `GW@PROCESS:LINK`.
    var text: String { "\(gateway)@\(process):\(link)" }

    /// The holder as `gateway_lease` takes it.
    var fields: [(String, String)] { [("process", process), ("link", String(link))] }
}

/// The answer of `gateway_lease`.
enum LeaseAnswer: Equatable, Sendable {
    /// - Parameters:
    ///   - policies: the version of the policies in force.
    ///   - living: the names of the living gateways.
    case renewed(canary: String, wasHeld: Bool, policies: Int, living: [String])
    /// Another process has the name; with that process' details.
    case taken(NameHolder)

    /// nil: not an answer of `gateway_lease`.
    init?(_ reply: RedisValue) {
        guard let answer = reply.array, answer.count >= 2, let canary = answer[0].text, let renewed = answer[1].int
        else {
            return nil
        }
        if renewed < 0 {
            self = .taken(NameHolder(answer.dropFirst(2).map { $0.text ?? "" }))
        } else {
            guard answer.count >= 3, let policies = answer[2].int else { return nil }
            self = .renewed(
                canary: canary, wasHeld: renewed == 1, policies: policies,
                living: answer.dropFirst(3).compactMap(\.text))
        }
    }
}

/// The process that has a gateway's name, as described in its lease.
struct NameHolder: Equatable, Sendable, CustomStringConvertible {
    var host: String?
    var pid: String?
    var started: String?

    /// - Parameter fields: alternating fields and values, as from `HGETALL`.
    init(_ fields: [String]) {
        for index in stride(from: 0, to: fields.count - 1, by: 2) {
            switch fields[index] {
            case "host": host = fields[index + 1]
            case "pid": pid = fields[index + 1]
            case "started": started = fields[index + 1]
            default: break
            }
        }
    }

    var description: String {
        let process = pid.map { "process \($0)" } ?? "a process"
        return "\(process) on \(host ?? "an unknown host")" + (started.map { ", running since \($0)" } ?? "")
    }
}
