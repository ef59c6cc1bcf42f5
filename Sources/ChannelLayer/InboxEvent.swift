import NIOCore

/// At which end of an inbox channels_redis 2.x pushes: up to 2.2 at the right, from 2.3 on at the left.
enum ListPush: String, Sendable {
    case left = "LPUSH"
    case right = "RPUSH"
}

/// What Redis' keyspace notification says of an inbox (redis.io, "Redis keyspace notifications").
enum InboxEvent: Equatable {
    /// A message was added to a sorted set.
    case added
    /// A message was pushed to a list.
    case pushed(ListPush)
    /// Nothing new: our own reading rings too.
    case other

    init(_ payload: ByteBuffer) {
        let event = payload.readableBytesView
        self =
            if event.elementsEqual("zadd".utf8) {
                .added
            } else if event.elementsEqual("lpush".utf8) {
                .pushed(.left)
            } else if event.elementsEqual("rpush".utf8) {
                .pushed(.right)
            } else {
                .other
            }
    }
}
