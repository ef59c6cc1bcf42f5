import Broker
import NIOCore
import RedisClient

/// A count, and keys of a wrong type that were skipped.
struct SweepAnswer: Equatable, Sendable {
    let number: Int
    let foreign: [String]

    /// Accepts a number, or a number followed by keys.
    init?(_ reply: RedisValue) {
        guard let number = reply.array?.first?.int ?? reply.int else { return nil }
        self.number = number
        foreign = reply.array?.dropFirst().compactMap(\.text) ?? []
    }
}

extension LayerFunctions {
    /// Renews a gateway's lease, or claims its name.
    ///
    /// - Parameters:
    ///   - seconds: how long the gateway counts as alive without another call, 1 to 3,600.
    ///   - canary: the canary that the gateway knows; empty at first.
    ///   - fields: the gateway's description of itself, including `process` and `link`.
    func gatewayLease(
        _ gateway: String, seconds: Int, canary: String, fields: [(String, String)]
    ) -> FunctionCall<LeaseAnswer> {
        var call = FunctionCall(.gatewayLease, read: LeaseAnswer.init)
        for argument in [keys.prefix, gateway] { call.append(argument) }
        call.append(seconds)
        call.append(canary)
        for (field, value) in fields {
            call.append(field)
            call.append(value)
        }
        return call
    }

    /// Gives a lease back. The answer is false when another process has the name.
    func gatewayRelease(_ gateway: String, process: String) -> FunctionCall<Bool> {
        var call = FunctionCall(.gatewayRelease) { $0.int.map { $0 == 1 } }
        for argument in [keys.prefix, gateway, process] { call.append(argument) }
        return call
    }

    /// Sweeps connections of dead gateways and expired retentions, at most `limit`. The answer is 0 when none is left.
    func gatewaySweep(limit: Int) -> FunctionCall<SweepAnswer> {
        var call = FunctionCall(.gatewaySweep, read: SweepAnswer.init)
        call.append(keys.prefix)
        call.append(limit)
        return call
    }

    /// Refreshes the fleet's member in groups that only a retention keeps. The answer is the next `start`; 0 at the end.
    func gatewayRetain(expiry: Int, from start: Int, limit: Int) -> FunctionCall<SweepAnswer> {
        var call = FunctionCall(.gatewayRetain, read: SweepAnswer.init)
        call.append(keys.prefix)
        for number in [expiry, start, limit] { call.append(number) }
        return call
    }

    /// Takes the oldest messages out of the gateway's own inbox.
    func gatewayCollect(_ gateway: String, limit: Int, push: ListPush? = nil) -> FunctionCall<[ByteBuffer]> {
        var call = FunctionCall(.gatewayCollect, keys: [keys.gatewayInbox(gateway)]) { reply in
            reply.array.flatMap { messages in
                let bytes = messages.compactMap(\.bytes)
                return bytes.count == messages.count ? bytes : nil
            }
        }
        call.append(limit)
        if let push { call.append(push.rawValue) }
        return call
    }

    /// Which rights the caller lacks for a gateway's work, as ACL rules; `no:COMMAND` for what this Redis does not have.
    ///
    /// - Parameter workers: general channels that are sent to.
    func gatewayTrial(
        presence: Bool, replicas: ReplicaQuorum, lists: Bool = false, scans: Bool = false, workers: [ChannelName] = []
    ) -> FunctionCall<[String]> {
        var call = FunctionCall(.gatewayTrial) { $0.array?.compactMap(\.text) }
        call.append(keys.prefix)
        call.append(keys.database)
        if presence { call.append("PRESENCE") }
        if replicas != .zero { call.append("WAIT") }
        if replicas == .all { call.append("ROLE") }
        if lists { call.append("LISTS") }
        if scans { call.append("SCAN") }
        for worker in workers { call.append("CHANNEL=\(worker.text)") }
        return call
    }
}
