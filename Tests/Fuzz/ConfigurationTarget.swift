import Broker
import Gateway
import NIOCore

@testable import tocsin

extension FuzzTargets {
    /// A YAML file, followed after a line "# environment" by variables, one NAME=VALUE per line. Errors name a key or a line and
    /// repeat no secret; a valid configuration is reproducible, and within its limits.
    @Sendable static func configuration(_ input: [UInt8]) {
        let parts = String(decoding: input, as: UTF8.self).split(
            separator: "# environment\n", maxSplits: 1, omittingEmptySubsequences: false)
        var environment: [String: String] = [:]
        for line in parts.count > 1 ? parts[1].split(separator: "\n") : [] {
            let pair = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if pair.count == 2 { environment["TOCSIN_\(pair[0])"] = String(pair[1]) }
        }
        let yaml = String(parts[0])
        environment["TOCSIN_GATEWAY_ADMIN_KEY"] = secret
        do throws(ConfigurationError) {
            let configuration = try Configuration(yaml: yaml, environment: environment)
            check(configuration)
            // Dictionaries are unordered.
            let again = try Configuration(yaml: yaml, environment: environment)
            precondition(
                "\(again.gateway)" == "\(configuration.gateway)" && again.routes.count == configuration.routes.count)
            environment["TOCSIN_GATEWAY_NOBODYS_KEY"] = "1"
            precondition((try? Configuration(yaml: yaml, environment: environment)) == nil, "an unknown key was taken")
        } catch {
            let text = error.description
            precondition(text.count > 10 && !text.contains(secret), "\(text)")
            precondition((try? Configuration(yaml: yaml, environment: environment)) == nil)
        }
    }

    private static let secret = "a key that no error may repeat"

    private static func check(_ configuration: Configuration) {
        let gateway = configuration.gateway, redis = configuration.redis
        precondition(
            (1...64).contains(redis.hosts.count) && !redis.prefix.isEmpty && redis.commandTimeout > .nanoseconds(0))
        precondition((1...60).contains(gateway.pingSeconds) && (1...(16 << 20)).contains(gateway.maximumMessageBytes))
        precondition((0...65535).contains(gateway.bind.port) && (0...65535).contains(gateway.admin.port))
        precondition(HostAndPort("\(gateway.bind)") == gateway.bind, "\(gateway.bind)")
        precondition(gateway.adminKey == secret && !(gateway.proxyProtocol && gateway.trustedProxies.isEmpty))
        for route in configuration.routes {
            for name in route.authentication { precondition(configuration.authentication[name] != nil) }
        }
        _ = redis.hosts.indices.map(configuration.keys)
    }
}
