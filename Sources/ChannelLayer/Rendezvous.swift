import NIOCore

/// Decides which living gateway does a piece of work: all agree without communicating, and when one dies only its work moves
/// (highest random weight hashing, Thaler and Ravishankar 1996).
enum Rendezvous {
    /// This gateway's rank for the work: 0 does it first. nil when it is not among the living.
    static func rank(of gateway: String, for work: String, among living: [String]) -> Int? {
        let own = weight(gateway, work)
        guard living.contains(gateway) else { return nil }
        return living.count { (weight($0, work), $0) > (own, gateway) }
    }

    /// How much later than the first in the order this gateway does the work: in case those before it are dead or stuck. Zero:
    /// it is the first. One that is not among the living comes after all of them.
    static func delay(
        of gateway: String, for work: String, among living: [String], perRank: TimeAmount
    ) -> TimeAmount {
        let rank = rank(of: gateway, for: work, among: living) ?? living.count
        return .nanoseconds(perRank.nanoseconds * Int64(min(rank, 10)))
    }

    /// 64-bit FNV-1a with a final mix, because names differ in few bytes.
    private static func weight(_ gateway: String, _ work: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in gateway.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        hash = (hash ^ 0xff) &* 0x100_0000_01b3
        for byte in work.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        hash ^= hash >> 32
        hash = hash &* 0xd6e8_feb8_6659_fd93
        return hash ^ (hash >> 32)
    }
}
