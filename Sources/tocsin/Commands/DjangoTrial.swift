import Broker
import ChannelLayer
import Foundation
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import RedisClient

/// `tocsin doctor --django`: has the site's own channel layer send to a group that only this command is in, and sees whether,
/// and how, the message comes.
struct DjangoTrial {
    private static let check = "Django"
    private let client: RedisClient
    private let keys: LayerKeys
    private let host: RedisHost
    /// The name whose inbox the site's layer finds where the group is.
    private let name: String
    let configuration: Configuration
    /// The shell command that runs Python in the site, `python manage.py shell`; `-`: a person pastes the lines.
    let command: String
    private let group: GroupName

    /// - Throws: never: the name that it makes up is a group's.
    init(clients: ShardRouter<RedisClient>, configuration: Configuration, command: String) throws {
        let token = ConnectionID.random().description
        group = try GroupName("tocsin.doctor.\(token)")
        let shard = configuration.redis.router[group]
        client = clients[group]
        keys = configuration.keys(shard: shard)
        host = configuration.redis.hosts[shard]
        name =
            ShardPlace(index: shard, of: configuration.redis.hosts.count).processName("specific.tocsin-doctor-\(token)")
            + "!"
        self.configuration = configuration
        self.command = command
    }

    /// What the site runs.
    private var lines: String {
        """
        from asgiref.sync import async_to_sync
        from channels.layers import get_channel_layer
        async_to_sync(get_channel_layer().group_send)("\(group)", {"type": "tocsin.doctor"})

        """
    }

    func run() async throws -> Examination.Finding {
        let encryption = FernetKeys(try configuration.redis.encryption.keys())
        let heard = NIOLockedValueBox<String?>(nil), isLive = NIOLockedValueBox(false)
        let settings = try configuration.redisConfiguration(host, clientName: "tocsin-command")
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let tail = try await loop.submit {
            NIOLoopBound(
                GroupTail(
                    settings, keys: keys, group: group, encryption: encryption, on: loop, logger: Examination.silent,
                    onLive: { isLive.withLockedValue { $0 = true } },
                    onMalformed: { why in heard.withLockedValue { $0 = "unreadable: \(why)" } },
                    onMessage: { _ in heard.withLockedValue { $0 = "" } }),
                eventLoop: loop)
        }.get()
        defer { withExtendedLifetime(tail) {} }
        let member = RedisCommand("ZADD", keys.group(group), String(Date().timeIntervalSince1970), name + group.text)
        _ = try await client.send(member)
        _ = try await client.send(RedisCommand("EXPIRE", keys.group(group), "120"))
        while !isLive.withLockedValue({ $0 }) { try await Task.sleep(for: .milliseconds(20)) }
        let output = try await ask()
        let inbox = keys.prefix + name
        let finding = try await arrival(inbox, heard, within: command == "-" ? 120 : 10) ?? nothing(output)
        _ = try await client.send(RedisCommand("DEL", keys.group(group), inbox))
        return finding
    }

    /// - Returns: what the site printed.
    private func ask() async throws -> String {
        guard command != "-" else {
            note("Paste this into the site's `manage.py shell`:\n\n\(lines)")
            return ""
        }
        // A file, not a pipe: a command that does not read its input would end this one by SIGPIPE.
        let script = FileManager.default.temporaryDirectory.appendingPathComponent("\(group).py")
        try Data(lines.utf8).write(to: script)
        defer { try? FileManager.default.removeItem(at: script) }
        let process = Process(), output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", command]
        process.standardInput = try FileHandle(forReadingFrom: script)
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let bytes = await withCheckedContinuation { done in
            Thread.detachNewThread { done.resume(returning: output.fileHandleForReading.readDataToEndOfFile()) }
        }
        process.waitUntilExit()
        return String(decoding: bytes, as: UTF8.self)
    }

    private func arrival(
        _ inbox: String, _ heard: NIOLockedValueBox<String?>, within seconds: Int
    ) async throws -> Examination.Finding? {
        for _ in 0..<(seconds * 10) {
            if let trouble = heard.withLockedValue({ $0 }) { return came(by: "pub/sub", trouble) }
            switch try await client.send(RedisCommand("TYPE", inbox)).text {
            case "zset":
                let member = try await client.send(RedisCommand("ZRANGE", inbox, "0", "0")).array?.first?.bytes
                return came(by: "core", configuration.redis.version == .three ? trouble(member) : "it is not 2.x")
            case "list":
                let member = try await client.send(RedisCommand("LINDEX", inbox, "0")).bytes
                return came(
                    by: "core (2.x)",
                    configuration.redis.version == .two ? trouble(member) : "set redis.layer to \"2\"")
            default: try await Task.sleep(for: .milliseconds(100))
            }
        }
        return nil
    }

    /// Why gateways could not read a message of an inbox, or the site's consumers not what gateways send; empty: neither.
    private func trouble(_ member: ByteBuffer?) -> String {
        guard let member, let keys = try? configuration.redis.encryption.keys() else { return "" }
        let redis = configuration.redis
        let form = InboxForm.of(
            member, prefixLength: redis.version == .two ? 0 : redis.randomPrefixLength,
            encryption: FernetKeys(keys))
        return form.trouble(encrypts: !keys.isEmpty, serializer: redis.serializer) ?? ""
    }

    private func came(by layer: String, _ trouble: String) -> Examination.Finding {
        Examination.Finding(
            check: Self.check, verdict: trouble.isEmpty ? .fine : .wrong,
            detail: "a message of the site's \(layer) layer came\(trouble.isEmpty ? "" : ", but \(trouble)")")
    }

    private func nothing(_ output: String) -> Examination.Finding {
        let last = output.split(whereSeparator: \.isNewline).last.map { ". The site printed: \($0)" } ?? ""
        return Examination.Finding(
            check: Self.check, verdict: .wrong,
            detail: "the site's message did not come. CHANNEL_LAYERS has to name this Redis, database "
                + "\(keys.database) (Channels' tutorial has 0: (\"127.0.0.1\", 6379)), and the prefix "
                + "\"\(configuration.redis.prefix)\"\(last)")
    }
}
