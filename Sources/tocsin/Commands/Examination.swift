import Gateway
import ChannelLayer
import Foundation
import Logging
import NIOCore
import RedisClient

/// The checks of `tocsin doctor`; each gives one finding.
struct Examination {
    enum Verdict: String {
        case fine, warning, wrong
        var mark: String {
            switch self {
            case .fine: "ok   "
            case .warning: "warn "
            case .wrong: "WRONG"
            }
        }
    }

    struct Finding {
        var check: String
        var verdict: Verdict
        var detail: String
    }

    let client: RedisClient
    /// Which of `redis.hosts` the client is connected to.
    let shard: Int
    let configuration: Configuration
    static let silent = Logger(label: "tocsin") { _ in SwiftLogNoOpLogHandler() }

    var inspector: LayerInspector {
        LayerInspector(client: client, keys: configuration.keys(shard: shard))
    }

    /// The checks of one Redis. With several, each finding says of which.
    func redis() async -> [Finding] {
        let host = configuration.redis.hosts[shard]
        var findings = [
            await finding("redis") {
                Finding(
                    check: "redis", verdict: .fine,
                    detail: "\(host) answers\(host.isEncrypted ? ", its certificate is valid" : "")")
            }
        ]
        findings += await server()
        findings.append(await finding("functions") { try await library() })
        findings.append(await finding("writes") { try await writes() })
        findings.append(await finding("rights") { try await rights(host) })
        findings.append(await keyspaceEvents())
        findings.append(await memoryPolicy())
        findings.append(await pubsubLimit())
        findings.append(await finding("clock") { try await clock() })
        findings.append(await finding("gateways") { try await gateways() })
        findings += await layer()
        guard configuration.redis.hosts.count > 1 else { return findings }
        return findings.map { Finding(check: "\($0.check) of shard \(shard)", verdict: $0.verdict, detail: $0.detail) }
    }

    /// The checks of what is not in Redis.
    func surroundings() async -> [Finding] {
        var findings = [fileLimit(), routes()]
        findings += await logins()
        if let tls = configuration.gateway.tls { findings.append(Self.clientTLS(tls)) }
        return findings
    }

    /// Runs a check of Redis. A failure becomes a finding, so that one refused command does not end the examination.
    func finding(_ check: String, _ look: () async throws -> Finding) async -> Finding {
        do {
            try await client.waitUntilUp(.seconds(3))
            return try await look()
        } catch {
            return Finding(check: check, verdict: .wrong, detail: "\(error)")
        }
    }

    private func server() async -> [Finding] {
        do {
            let info = try await information()
            return [version(info), persistence(info)]
        } catch {
            return [Finding(check: "redis version", verdict: .wrong, detail: "INFO cannot be asked: \(error)")]
        }
    }

    private func information() async throws -> [String: String] {
        let text = try await client.send(RedisCommand("INFO")).text ?? ""
        let pairs = text.split(whereSeparator: \.isNewline).compactMap { line -> (String, String)? in
            let parts = line.split(separator: ":", maxSplits: 1)
            return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
        }
        return Dictionary(pairs) { $1 }
    }

    private func version(_ info: [String: String]) -> Finding {
        let version = info["redis_version"] ?? "?"
        let major = Int(version.prefix { $0 != "." }) ?? 0
        return Finding(
            check: "redis version", verdict: major >= 7 ? .fine : .wrong,
            detail: major >= 7 ? version : "\(version): functions need 7.0 or newer")
    }

    private func persistence(_ info: [String: String]) -> Finding {
        info["aof_enabled"] == "1"
            ? Finding(check: "persistence", verdict: .fine, detail: "append-only file is on")
            : Finding(
                check: "persistence", verdict: .warning,
                detail: "appendonly is off: a restart of Redis loses history; redis/redis.conf turns it on")
    }

    /// A server setting; nil: the user may not read it.
    private func setting(_ name: String) async -> String? {
        try? await client.waitUntilUp(.seconds(3))
        return try? await client.send(RedisCommand("CONFIG", "GET", name)).pairs.first?.1
    }

    private func unreadable(_ check: String) -> Finding {
        Finding(check: check, verdict: .warning, detail: "this Redis user may not read the setting")
    }

    private func keyspaceEvents() async -> Finding {
        guard let value = await setting("notify-keyspace-events") else { return unreadable("keyspace events") }
        guard let complete = LayerInspector.missingKeyspaceEvents(value) else {
            return Finding(check: "keyspace events", verdict: .fine, detail: "\"\(value)\" rings for the relay")
        }
        return Finding(
            check: "keyspace events", verdict: .warning,
            detail: "\"\(value)\": gateways poll for Django's core layer. CONFIG SET notify-keyspace-events \(complete)"
        )
    }

    private func memoryPolicy() async -> Finding {
        guard let value = await setting("maxmemory-policy") else { return unreadable("memory policy") }
        return value == "noeviction"
            ? Finding(check: "memory policy", verdict: .fine, detail: value)
            : Finding(
                check: "memory policy", verdict: .wrong, detail: "\(value) deletes history silently; use noeviction")
    }

    private func pubsubLimit() async -> Finding {
        guard let value = await setting("client-output-buffer-limit") else { return unreadable("pub/sub buffer") }
        let words = value.split(separator: " ").map(String.init)
        guard let index = words.firstIndex(of: "pubsub"), index + 1 < words.count, let hard = Int(words[index + 1])
        else {
            return Finding(check: "pub/sub buffer", verdict: .warning, detail: "cannot read \"\(value)\"")
        }
        return hard == 0 || hard >= 32 << 20
            ? Finding(check: "pub/sub buffer", verdict: .fine, detail: hard == 0 ? "no limit" : "\(hard >> 20) MiB")
            : Finding(
                check: "pub/sub buffer", verdict: .warning,
                detail: "\(hard) bytes: Redis cuts a gateway that falls that far behind; 32mb is usual")
    }

    private func clock() async throws -> Finding {
        let time = try await client.send(RedisCommand("TIME")).array?.compactMap(\.text) ?? []
        let redis = time.count == 2 ? (Double(time[0]) ?? 0) + (Double(time[1]) ?? 0) / 1e6 : 0
        let difference = redis - Date().timeIntervalSince1970
        let text = String(format: "%.1f s from Redis' clock", abs(difference))
        return Finding(
            check: "clock", verdict: abs(difference) < 5 ? .fine : .warning,
            detail: abs(difference) < 5 ? text : "\(text): Django processes with such a clock lose messages")
    }

    private func gateways() async throws -> Finding {
        let living = try await inspector.gateways()
        return living.isEmpty
            ? Finding(check: "gateways", verdict: .warning, detail: "none is alive")
            : Finding(check: "gateways", verdict: .fine, detail: living.map(\.id).joined(separator: ", "))
    }

    private func fileLimit() -> Finding {
        let (_, hard) = FileLimit.current
        let wanted = UInt(configuration.gateway.maximumConnections)
        return hard >= wanted
            ? Finding(check: "open files", verdict: .fine, detail: "up to \(hard)")
            : Finding(
                check: "open files", verdict: .warning,
                detail:
                    "up to \(hard) here, gateway.max_connections is \(wanted): raise LimitNOFILE or lower the setting")
    }

    private func routes() -> Finding {
        configuration.routes.isEmpty
            ? Finding(check: "routes", verdict: .warning, detail: "none configured; give --config to check yours")
            : Finding(check: "routes", verdict: .fine, detail: "\(configuration.routes.count)")
    }
}
