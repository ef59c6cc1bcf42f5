import Broker
import ChannelLayer
import Gateway
import NIOCore
import NIOPosix
import RedisClient

extension Examination {
    /// Whether the functions are loaded, or a gateway could load them.
    func library() async throws -> Finding {
        let state: String
        switch try await inspector.libraryState() {
        case .usable(let loaded): return Finding(check: "functions", verdict: .fine, detail: "version \(loaded)")
        case .tooNew(let why): return Finding(check: "functions", verdict: .wrong, detail: why)
        case .older(let loaded): state = "version \(loaded) is loaded, \(LayerInspector.carriedLibrary) is current"
        case .missing: state = "not loaded yet"
        }
        let command = "cat redis/tocsin.lua | redis-cli -x FUNCTION LOAD REPLACE"
        if let refusal = await inspector.loadingRefusal() {
            return Finding(
                check: "functions", verdict: .wrong,
                detail: "\(state), and this user cannot load them: \(refusal). As another user: \(command)")
        }
        return Finding(
            check: "functions", verdict: .warning, detail: "\(state): a gateway loads them, or: \(command)")
    }

    /// Whether Redis accepts writes now.
    func writes() async throws -> Finding {
        guard let refusal = await inspector.writeRefusal() else {
            return Finding(check: "writes", verdict: .fine, detail: "Redis takes them")
        }
        let remedy = refusal.remedy.map { ". \($0)" } ?? ""
        return Finding(check: "writes", verdict: .wrong, detail: "\(refusal.words)\(remedy)")
    }

    /// The channels of workers that routes forward to.
    private var workers: [ChannelName] {
        let channels = configuration.routes.compactMap { route -> ChannelName? in
            guard case .forward(let policy) = route.receive, case .channel(let channel) = policy.destination else {
                return nil
            }
            return channel
        }
        return Set(channels).sorted { $0.text < $1.text }
    }

    /// Whether the user has all rights that a gateway needs.
    func rights(_ host: RedisHost) async throws -> Finding {
        let presence = configuration.groups.contains(where: \.joinLeave)
        let settings = try configuration.redisConfiguration(host, clientName: "tocsin-command")
        // A separate connection, because one that has subscribed can do nothing else.
        let listener = try await RedisClient.start(
            settings, on: MultiThreadedEventLoopGroup.singleton.any(), logger: Self.silent)
        var missing: [String]
        do {
            try await listener.waitUntilUp(.seconds(3))
            missing = try await LayerInspector(client: listener, keys: configuration.keys(shard: shard))
                .missingSubscriptions(presence: presence)
        } catch {
            await listener.close()
            throw error
        }
        await listener.close()
        let all = try await inspector.missingRights(
            presence: presence, replicas: configuration.redis.waitReplicas, workers: workers)
        missing += (all ?? []).filter { !missing.contains($0) }
        let user = host.user ?? "default"
        guard missing.isEmpty else {
            return Finding(
                check: "rights", verdict: .wrong, detail: LayerInspector.words(missing: missing, user: host.user))
        }
        return Finding(
            check: "rights", verdict: .fine,
            detail: all == nil
                ? "the user \(user) may subscribe; the others can be seen once the functions are loaded and writes are taken"
                : "the user \(user) has all that a gateway needs")
    }
}
