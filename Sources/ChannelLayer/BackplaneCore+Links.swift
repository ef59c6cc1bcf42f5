import Broker
import Logging
import NIOCore
import RedisClient

/// What the events of the Redis links mean to the parts, as `LinkHealth` decides it.
extension BackplaneCore {
    func commands(_ event: RedisClient.Event) {
        switch event {
        case .up:
            lease.linkUp()
            membership.gateway = lease.holder.text
            handle(.up)
        case .down(let error):
            metrics.losses.add()
            handle(.down(error))
        case .missed(let error): handle(.missed(error))
        case .refused(let error): refused(error)
        }
    }

    /// The link for messages, where it is one of its own.
    func messages(_ event: RedisClient.Event) {
        switch event {
        case .refused(let error): refused(error)
        case .down(let error) where error.isOfReplica: doubt()
        case .up, .down, .missed: break
        }
    }

    private func refused(_ error: RedisError) {
        if FunctionLibrary.isMissing(error) { return handle(.functionsMissing) }
        if RedisErrorMeaning.refusesAll(error) { return handle(.refused(error)) }
        // Which right it is, and which others, the trial says.
        if RedisErrorMeaning.refusesRight(error) { doubt() }
    }

    /// Something of ours was refused, and it is to be seen whether all is.
    func doubt() {
        let now = NIODeadline.now()
        guard health.commands == .serving, doubted.map({ now - $0 >= .seconds(1) }) ?? true else { return }
        doubted = now
        lease.renew()
    }

    /// The lease was written; is everything else let through too?
    func renewed(_ error: RedisError?) {
        if let error, !RedisErrorMeaning.refusesRight(error) { return handle(.refused(error)) }
        client.call(functions.tocsinVersion) { [self] result in
            // Another gateway may have loaded a library that this one does not understand.
            if case .success(let loaded) = result, loaded.verdict(own: FunctionLibrary.version) == .tooNew {
                return handle(.refused(FunctionLibrary.tooNew(loaded)))
            }
            tryRights(after: error)
        }
    }

    private func tryRights(after error: RedisError?) {
        client.call(GatewayTrial.call(functions, configuration)) { [self] result in
            switch result {
            case .success(let missing):
                let refusal = GatewayTrial.verdict(missing, user: configuration.redis.host.user)
                handle((refusal ?? error).map { .refused($0) } ?? .written)
            case .failure(let error) where error.code == .server:
                if !FunctionLibrary.isMissing(error) { handle(.refused(error)) }
            case .failure: break  // the link has its own deadline
            }
        }
    }

    func handle(_ event: LinkHealth.Event) {
        for action in health.handle(event) { perform(action) }
        readinessChanged()
    }

    private func perform(_ action: LinkHealth.Action) {
        switch action {
        case .prepare(let isFirst): prepare(isFirst: isFirst)
        case .serve: serve()
        case .pause:
            membership.pause()
            relay.pause()
            connections.pause()
            outgoing.pause()
            due.pause()
            lease.pause()
            doorbell.pause()
        case .hold(let words):
            membership.pause(words)
            relay.pause()
            connections.pause()
            outgoing.pause()
            due.pause()
            lease.isHeld = true
        case .proceed:
            lease.isHeld = false
            membership.resume()
            relay.resume()
            connections.resume()
            outgoing.resume()
            due.resume()
        case .renew: lease.renew()
        case .retry(let number, let pause):
            eventLoop.assumeIsolated().scheduleTask(in: pause) { self.handle(.retryIsDue(number)) }
        case .resubscribe:
            subscriber.reconnect(RedisError(.timeout, "commands go to another server now: messages come from there"))
            onMoved?()
        case .complain(let error):
            if let held = trouble.begins(RedisErrorMeaning.kind(error)) {
                logger.error(
                    "not ready: \(RedisErrorMeaning.words(error))", metadata: ["held_back": "\(held)"])
            }
        case .relieved:
            if trouble.ends() { logger.notice("ready again: Redis takes what it refused") }
        }
    }

    private func readinessChanged() {
        let reasons = health.reasons
        guard reasons != self.reasons else { return }
        self.reasons = reasons
        metrics.redisUp.set(reasons.isEmpty ? 1 : 0)
        onReadiness(reasons)
    }
}
