import Broker

/// Who holds this gateway's lease: its name, the process that uses it, and that process' connection for commands.
///
/// A name belongs to one process at a time, and to one connection of it: a command that was given up and arrives all the
/// same, because a stalled connection woke up, carries an older link and is refused by the functions.
struct LeaseHolder {
    let gateway: String
    /// New with each start, so that a gateway that was started again is told apart from the one before.
    let process: String
    private(set) var link = 0

    init(gateway: String, process: String = ConnectionID.random().description) {
        self.gateway = gateway
        self.process = process
    }

    /// A new connection for commands is up.
    mutating func linkUp() { link += 1 }

    /// The gateway as `group_add` and `group_discard` take it: `GW@PROCESS:LINK`.
    var text: String { "\(gateway)@\(process):\(link)" }

    /// As `gateway_lease` takes it.
    var fields: [(String, String)] { [("process", process), ("link", String(link))] }
}

/// What `gateway_lease` answered.
enum LeaseAnswer: Equatable {
    case renewed(canary: String, wasHeld: Bool, living: [String])
    /// Another process has the name: what it says of itself.
    case taken(NameHolder)

    /// nil: something else than an answer of `gateway_lease`.
    init?(_ texts: [String], renewed: Int) {
        guard let canary = texts.first, texts.count >= 2 else { return nil }
        let rest = Array(texts.dropFirst(2))
        self =
            renewed < 0
            ? .taken(NameHolder(rest)) : .renewed(canary: canary, wasHeld: renewed == 1, living: rest)
    }
}

/// The process that has a gateway's name, in the words of its lease.
struct NameHolder: Equatable, CustomStringConvertible {
    var host: String?
    var pid: String?
    var started: String?

    /// Fields and values in turn, as `HGETALL` gives them.
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
