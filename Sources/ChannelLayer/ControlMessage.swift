import Broker
import NIOCore

/// A message to all gateways on the control channel: `{"event":"end","user":"42"}`, or with `"connection":"16 hex digits"`.
/// Documented in redis/README.md, because it may also be published by hand.
enum ControlMessage {
    static func end(_ selection: ConnectionSelection) -> ByteBuffer {
        JSONWriter.object { json in
            json.string("event", "end")
            switch selection {
            case .user(let user): json.string("user", user)
            case .connection(let connection): json.string("connection", connection.description)
            }
        }
    }

    /// nil: not a message that this version knows.
    static func selection(_ payload: ByteBuffer) -> ConnectionSelection? {
        guard let fields = try? JSONFields(payload), fields.string("event") == "end" else { return nil }
        switch (fields.string("user"), fields.string("connection")) {
        case (let user?, nil) where !user.isEmpty: return .user(user)
        case (nil, let text?): return ConnectionID(text).map { .connection($0) }
        default: return nil
        }
    }
}
