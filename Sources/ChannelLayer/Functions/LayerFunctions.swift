import RedisClient

/// Creates calls of the function library, `redis/tocsin.lua`. The only place that knows the order of arguments and the form of
/// replies; the contract is in redis/README.md ("Functions").
///
/// A value without I/O, with one extension per family of functions.
struct LayerFunctions: Sendable {
    let keys: LayerKeys
}
