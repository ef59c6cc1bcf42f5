import Broker
import Logging
import NIOCore
import RedisClient

/// What is made sure of on each new connection for commands before anything else is sent over it.
extension BackplaneCore {
    /// Functions, rights, the gateway's name and the policies, before anything else is asked of this Redis.
    func prepare(isFirst: Bool) {
        let (client, configuration, logger) = (client, configuration, logger)
        let (policies, holder, renewal) = (policiesCommand, lease.holder, lease.leaseCommand())
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let eventLoop = eventLoop
        preparation = Task {
            do {
                try await FunctionLibrary.ensureLoaded(by: client, logger: logger)
                try await GatewayTrial.run(configuration, by: client)
                // A gateway that could not listen is stopped in the middle of this.
                try Task.checkCancellation()
                if isFirst {
                    let (other, foreign) = try await GatewayLease.claim(
                        with: renewal, for: holder, prefix: configuration.prefix, by: client)
                    if let other { return eventLoop.execute { bound.value.nameTakenAtStart(by: other) } }
                    if !foreign.isEmpty { eventLoop.execute { bound.value.neighbours.foreign(foreign) } }
                }
                let version = try await client.send(policies).int
                eventLoop.execute { bound.value.prepared(policyVersion: version) }
            } catch {
                let error = error as? RedisError ?? RedisError(.unavailable, "\(error)")
                eventLoop.execute { bound.value.handle(.notPrepared(error)) }
            }
        }
    }

    private func prepared(policyVersion: Int?) {
        policiesWritten(policyVersion)
        handle(.prepared)
    }

    func serve() {
        client.confirm()
        // First: without a lease over this connection nobody joins.
        lease.isHeld = false
        lease.resume()
        membership.resume()
        if health.isLive { feed.doubtAll() }
        relay.resume()
        doorbell.resume()
    }

    // MARK: The name

    /// A process that was just killed may still count as listening for a moment.
    private func nameTakenAtStart(by other: NameHolder) {
        claims += 1
        if claims >= Self.maximumClaims { nameTaken(by: other) }
        handle(.notPrepared(RedisError(.server, "INUSE \(nameTakenWords(other))")))
    }

    func nameTaken(by other: NameHolder) {
        membership.pause(nameTakenWords(other))
        lease.pause()
        onNameTaken(nameTakenWords(other))
    }

    private func nameTakenWords(_ other: NameHolder) -> String {
        "the name \(configuration.gatewayID) is in use by \(other): give this gateway another --id, or stop that one"
    }

    // MARK: Policies

    /// A newer version than ours is another gateway's, and stays.
    func policiesWritten(_ version: Int?) {
        guard let version else { return }
        if let known = policyVersion, version > known {
            logger.notice(
                "another gateway has set the policies since this one did: its groups: are in force",
                metadata: ["version": "\(version)"])
        } else {
            policyVersion = version
        }
    }

    var policiesCommand: RedisCommand {
        var command = RedisCommand.fcall("policy_set")
        command.append(configuration.prefix)
        command.append(Self.rulesText(configuration.policies))
        if let policyVersion { command.append(policyVersion) }
        return command
    }

    /// The policies as policy_set wants them. JSON by hand: four fixed fields.
    static func rulesText(_ policies: [GroupPolicy]) -> ByteBuffer {
        var text = ByteBuffer(string: "[")
        for (index, policy) in policies.enumerated() {
            text.writeString(index == 0 ? #"{"match":"# : #",{"match":"#)
            JSONText.appendString(policy.match.utf8, to: &text)
            text.writeString(#","size":\#(policy.historySize),"ttl":\#(policy.historyTTL)"#)
            text.writeString(policy.joinLeave ? #","join_leave":true}"# : "}")
        }
        text.writeString("]")
        return text
    }
}
