import RedisClient

/// Makes calls of the function library, `redis/tocsin.lua`: the order of arguments, and what a reply has to be, are known
/// here and nowhere else. redis/README.md has the contract ("Functions").
///
/// A value without I/O. One extension for each family of verbs.
struct LayerFunctions: Sendable {
    let keys: LayerKeys
}
