import Broker
import Foundation

/// The process that listens on a TCP port of this machine, as found in /proc: the kernel's socket table gives an inode, and
/// the descriptors of processes are links that name inodes. Other users' descriptors cannot be read.
struct PortHolder: Equatable, CustomStringConvertible {
    struct Identity: Equatable, CustomStringConvertible {
        var name: String
        var process: Int

        var description: String { "\(name) (process \(process))" }
    }

    /// nil: the process belongs to another user, or runs in another container.
    var identity: Identity?
    /// The `tocsin dev` that started it, which is the one to stop.
    var starter: Identity?

    var description: String {
        guard let identity else { return "a process of another user" }
        return starter.map { "\(identity), started by \($0)" } ?? "\(identity)"
    }

    /// nil: nobody listens on the port, or there is no /proc.
    static func of(_ port: Int) -> PortHolder? {
        var inodes: Set<String> = []
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            if let text = try? String(contentsOfFile: table, encoding: .utf8) {
                inodes.formUnion(listeners(on: port, in: text))
            }
        }
        guard !inodes.isEmpty else { return nil }
        // The lowest first: if several processes share the socket, that is the parent.
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        guard let process = all.compactMap({ Int($0) }).sorted().first(where: { has($0, oneOf: inodes) }) else {
            return PortHolder()
        }
        let starter = parent(of: process).flatMap(identity)
        return PortHolder(identity: identity(process), starter: starter?.name == "tocsin" ? starter : nil)
    }

    /// Runs `body`, which listens on the address. If the address is in use, the error names the process that has it.
    static func named<R>(_ address: HostAndPort, _ body: () async throws -> R) async throws -> R {
        do {
            return try await body()
        } catch {
            guard "\(error)".contains("in use"), let holder = of(address.port) else { throw error }
            throw CommandFailure("\(error): port \(address.port) is taken by \(holder)")
        }
    }

    /// The inodes of the sockets that listen on the port, from a table like /proc/net/tcp (proc(5)): `0: 0100007F:1F41
    /// 00000000:0000 0A 00000000:00000000 00:00000000 00000000 1000 0 31415 …`, where 0A means listening.
    static func listeners(on port: Int, in table: String) -> Set<String> {
        var inodes: Set<String> = []
        for line in table.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ")
            guard fields.count > 9, fields[3] == "0A", let colon = fields[1].lastIndex(of: ":"),
                Int(fields[1][fields[1].index(after: colon)...], radix: 16) == port
            else { continue }
            inodes.insert(String(fields[9]))
        }
        return inodes
    }

    private static func has(_ process: Int, oneOf inodes: Set<String>) -> Bool {
        let folder = "/proc/\(process)/fd"
        let descriptors = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return descriptors.contains { descriptor in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\(descriptor)")
            guard let target, target.hasPrefix("socket:[") else { return false }
            return inodes.contains(String(target.dropFirst("socket:[".count).dropLast()))
        }
    }

    private static func identity(_ process: Int) -> Identity? {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/comm", encoding: .utf8) else { return nil }
        // Processes choose their own names, and a terminal would interpret control characters.
        let name = text.filter { $0.isASCII && !$0.isNewline && $0 >= " " && $0 != "\u{7f}" }
        return Identity(name: name, process: process)
    }

    /// The fourth field of stat; the second one, in brackets, may contain anything.
    private static func parent(of process: Int) -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
            let bracket = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[text.index(after: bracket)...].split(separator: " ")
        return fields.count > 1 ? Int(fields[1]) : nil
    }
}
