import AsyncHTTPClient
import NIOCore

/// HTTP clients for hosts that strangers name, each bound to an address that has been checked.
///
/// A name is resolved here and not by the client: a name server that answers with a public address first and a private one
/// afterwards (DNS rebinding) would pass a check of the name alone. TLS still asks for the name and verifies it.
actor PinnedClients {
    /// A client for one request: to be given back by `release`.
    struct Lease: Sendable {
        let client: HTTPClient
        fileprivate let number: Int
    }

    private struct Pinned {
        let host: String
        /// All checked; the client connects to the first.
        let addresses: [IPAddress]
        let client: HTTPClient
        /// Afterwards the name is resolved again.
        var until: NIODeadline
        var users = 0
        /// Not leased any more, and shut down by the last user.
        var isRetired = false
    }

    /// How long addresses are used before the name is resolved again.
    static let freshness = TimeAmount.seconds(60)
    /// Hosts whose connections are kept. There are few push services; strangers can name any number of hosts.
    static let capacity = 32

    private let policy: OutboundPolicy
    private let resolver: any NameResolver
    private let makeClient: @Sendable (_ overrides: [String: String]) -> HTTPClient
    private var pinned: [Int: Pinned] = [:]
    private var nextNumber = 0

    /// - Parameter makeClient: makes a client that connects to the given addresses instead of the names.
    init(
        policy: OutboundPolicy, resolver: any NameResolver,
        makeClient: @escaping @Sendable (_ overrides: [String: String]) -> HTTPClient
    ) {
        (self.policy, self.resolver, self.makeClient) = (policy, resolver, makeClient)
    }

    /// - Throws: `EscalationError` when the name does not resolve in time, `ForbiddenAddress` when it may not be connected to.
    func lease(_ endpoint: PushEndpoint, before deadline: NIODeadline) async throws -> Lease {
        if let number = fresh(endpoint.host) { return use(number) }
        let addresses = try await checkedAddresses(endpoint.host, before: deadline)
        // Another request may have resolved the same name in the meantime.
        if let number = fresh(endpoint.host) { return use(number) }
        let lease = use(
            renew(endpoint.host, addresses) ?? pin(endpoint.host, addresses, until: .now() + Self.freshness))
        await shutDownUnused()
        return lease
    }

    /// - Parameter reached: false when no connection could be made: the next lease connects to the host's next address.
    func release(_ lease: Lease, reached: Bool) async {
        guard let one = pinned[lease.number] else { return }
        pinned[lease.number]?.users -= 1
        if !reached, !one.isRetired, one.addresses.count > 1 {
            _ = pin(one.host, Array(one.addresses.dropFirst()) + [one.addresses[0]], until: one.until)
        }
        await shutDownUnused()
    }

    /// Called when nothing is leased any more.
    func close() async {
        for number in pinned.keys { pinned[number]?.isRetired = true }
        await shutDownUnused()
        await resolver.close()
    }

    /// The number of clients that are not shut down.
    var count: Int { pinned.count }

    // MARK: Steps

    private func checkedAddresses(_ host: String, before deadline: NIODeadline) async throws -> [IPAddress] {
        let addresses =
            if let literal = IPAddress(host) { [literal] } else {
                try await resolver.addresses(of: host, before: deadline)
            }
        guard !addresses.isEmpty else { throw EscalationError("its name has no address") }
        for address in addresses {
            if let reason = policy.whyNot(address) { throw ForbiddenAddress(address: address, reason: reason) }
        }
        return addresses
    }

    private func fresh(_ host: String) -> Int? {
        pinned.first { !$0.value.isRetired && $0.value.host == host && $0.value.until > .now() }?.key
    }

    /// Keeps the client, and with it open connections, if its address is still one of the host's.
    private func renew(_ host: String, _ addresses: [IPAddress]) -> Int? {
        let kept = pinned.first {
            !$0.value.isRetired && $0.value.host == host && addresses.contains($0.value.addresses[0])
        }
        guard let number = kept?.key else { return nil }
        pinned[number]?.until = .now() + Self.freshness
        return number
    }

    private func use(_ number: Int) -> Lease {
        pinned[number]!.users += 1
        return Lease(client: pinned[number]!.client, number: number)
    }

    /// Replaces what the host has so far, and retires the oldest beyond the capacity.
    private func pin(_ host: String, _ addresses: [IPAddress], until: NIODeadline) -> Int {
        let overrides = IPAddress(host) == nil ? [host: "\(addresses[0])"] : [:]
        let number = nextNumber
        nextNumber += 1
        for former in pinned.filter({ $0.value.host == host }).keys { pinned[former]?.isRetired = true }
        pinned[number] = Pinned(host: host, addresses: addresses, client: makeClient(overrides), until: until)
        for oldest in pinned.filter({ !$0.value.isRetired }).keys.sorted().dropLast(Self.capacity) {
            pinned[oldest]?.isRetired = true
        }
        return number
    }

    private func shutDownUnused() async {
        let unused = pinned.filter { $0.value.isRetired && $0.value.users == 0 }
        for number in unused.keys { pinned[number] = nil }
        for one in unused.values { try? await one.client.shutdown() }
    }
}

/// A name resolves to an address that may not be connected to.
struct ForbiddenAddress: Error, CustomStringConvertible {
    let address: IPAddress
    let reason: String

    var description: String { "its name resolves to \(address), which is not public (\(reason))" }
}
