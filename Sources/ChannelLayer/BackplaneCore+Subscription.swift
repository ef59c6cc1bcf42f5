import Broker
import Logging
import NIOCore
import RedisClient

/// The subscription link, and what each channel's messages mean.
extension BackplaneCore: RedisSubscriberDelegate {
    func subscriberIsLive() {
        handle(.live)
        if health.canRead { feed.doubtAll() }
        probe.resume()
        doorbell.subscriptionIsLive()
    }

    func subscriberLost(_ reason: RedisError) {
        probe.pause()
        doorbell.subscriptionLost()
        feed.subscriptionEnded(bySilence: reason.code == .timeout)
        metrics.losses.add()
        handle(.lost(reason))
        if RedisErrorMeaning.refusesRight(reason) { doubt() }
    }

    func subscriberRefused(_ reason: RedisError) { doubt() }

    func subscriber(received payload: ByteBuffer, on channel: String) {
        if !isReading {
            isReading = true
            clock.checkAwake()
        }
        if let entry = membership.table[channel] { return received(payload, of: entry) }
        let route = routes[channel]
        if route != .unknown { return received(payload, for: route) }
        if let live = keys.liveChannel(ofGatewaysChannel: channel) {
            guard let entry = membership.table[live] else { return }
            if ReadStateChange.isOne(payload) {
                changed(payload, in: entry.group)
            } else {
                received(payload, of: entry)
            }
        } else if keys.isDirectChannel(channel) {
            connections.received(payload, on: channel)
        }
    }

    private func received(_ payload: ByteBuffer, of entry: GroupTable.Entry) {
        metrics.received.add()
        metrics.receivedBytes.add(payload.readableBytes)
        do {
            let message = try WireMessage.decode(configuration.encryption.opened(payload))
            let stamp = message.stamp.flatMap { Stamp($0) }
            if let stamp, stamp.isCopy { return }
            feed.received(
                Publication(
                    group: entry.group, position: stamp?.position, json: message.json,
                    isLogged: stamp?.isLogged ?? false),
                for: entry)
        } catch {
            metrics.malformedLive.add()
            if let stamp = WireMessage.stamp(ofUnreadable: payload).flatMap({ Stamp($0) }) {
                feed.unreadable(entry.group, at: stamp.position)
            }
            if let held = throttle.pass() {
                logger.warning(
                    "dropped a published message that is neither a JSON object nor a msgpack map",
                    metadata: ["group": "\(entry.group)", "reason": "\(error)", "held_back": "\(held)"])
            }
        }
    }

    /// A user of the group has read something, or has got something to read.
    private func changed(_ payload: ByteBuffer, in group: GroupName) {
        guard let change = ReadStateChange(payload) else { return metrics.malformedLive.add() }
        feed.changed(group, change)
    }

    private func received(_ payload: ByteBuffer, for route: ChannelRoute) {
        switch route {
        case .probe: probe.heard()
        case .bell: doorbell.heard()
        case .control: control(payload)
        case .presence(let group): presence(payload, of: group)
        case .inbox(let inbox): rang(InboxEvent(payload)) { relay.ring(inbox) }
        case .outgoing: outgoing.ring()
        case .connections: rang(InboxEvent(payload)) { connections.collect() }
        case .unknown: break
        }
    }

    private func rang(_ event: InboxEvent, _ work: () -> Void) {
        if case .pushed(let push) = event { (relay.push, connections.push) = (push, push) }
        if event != .other { work() }
    }

    /// An operator's word to all gateways.
    private func control(_ payload: ByteBuffer) {
        guard let selection = ControlMessage.selection(payload) else {
            if let held = throttle.pass() {
                logger.warning(
                    "ignored an unknown message on the control channel", metadata: ["held_back": "\(held)"])
            }
            return
        }
        feed.everywhere(.end(selection))
    }

    private func presence(_ payload: ByteBuffer, of group: GroupName) {
        guard let (entry, joined) = PresenceEntry.event(payload) else { return metrics.malformedLive.add() }
        feed.presence(group, entry, joined: joined)
    }

    func subscriberReadComplete() {
        isReading = false
        feed.flush()
    }
}
