import Broker
import Logging
import NIOCore
import RedisClient

/// What must be set up on each new command connection before anything else is sent over it.
extension BackplaneCore {
    /// Checks and sets up functions, rights, the gateway's name and the policies.
    func prepare(isFirst: Bool) {
        let (client, configuration, logger) = (client, configuration, logger)
        let (functions, policies, holder, renewal) = (functions, policiesCall, lease.holder, lease.leaseCall())
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let eventLoop = eventLoop
        preparation = Task {
            do {
                try await FunctionLibrary.ensureLoaded(functions, by: client, logger: logger)
                try await GatewayTrial.run(functions, configuration, by: client)
                // If the gateway could not listen, it is stopped in the middle of this.
                try Task.checkCancellation()
                if isFirst {
                    let (other, foreign) = try await GatewayLease.claim(
                        with: renewal, for: holder, functions, by: client)
                    if let other { return eventLoop.execute { bound.value.nameTakenAtStart(by: other) } }
                    if !foreign.isEmpty { eventLoop.execute { bound.value.neighbours.foreign(foreign) } }
                }
                let answer = try await client.call(policies)
                eventLoop.execute { bound.value.prepared(answer) }
            } catch {
                let error = RedisError(error)
                eventLoop.execute { bound.value.handle(.notPrepared(error)) }
            }
        }
    }

    private func prepared(_ policies: PolicyAnswer) {
        policiesWritten(policies)
        handle(.prepared)
    }

    func serve() {
        client.confirm()
        // First of all: until the lease is renewed over this connection, nobody can join.
        lease.isHeld = false
        lease.resume()
        membership.resume()
        if health.isLive { feed.doubtAll() }
        relay.resume()
        connections.resume()
        outgoing.resume()
        due.resume()
        doorbell.resume()
    }

    // MARK: The name

    /// Retries before giving up: a process that was just killed may still count as listening for a moment.
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

    var policiesCall: FunctionCall<PolicyAnswer> {
        functions.policySet(
            configuration.policies, known: policyVersion, layer: configuration.layerTerms,
            targets: configuration.targetTerms)
    }

    func policiesWritten(_ answer: PolicyAnswer) {
        if answer.isChanged, answer.version > 1 {
            logger.notice(
                "the groups: of this gateway take the place of others that were in force; gateways that are configured otherwise go by these too",
                metadata: ["version": "\(answer.version)"])
        }
        // A version newer than ours is another gateway's, and is kept.
        guard answer.isChanged || policyVersion == nil else { return policiesInForce(answer.version) }
        policyVersion = answer.version
        othersPolicies = nil
    }

    /// Logs once that other policies than this gateway's are in force.
    func policiesInForce(_ version: Int) {
        guard let policyVersion, version > policyVersion, version != othersPolicies else { return }
        othersPolicies = version
        logger.warning(
            "another gateway has set other groups: than this gateway's, and all go by those: give all gateways the same",
            metadata: ["version": "\(version)"])
    }
}
