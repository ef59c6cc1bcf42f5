import Broker
import NIOCore
import RedisClient

extension LayerFunctions {
    /// Registers a push subscription. The answer is how many the user has.
    ///
    /// - Parameter id: hex digits that name the endpoint.
    func pushSet(_ subscription: ByteBuffer, id: String, of user: String) -> FunctionCall<Int> {
        var call = FunctionCall(.pushSet, read: \.int)
        call.append(keys.prefix)
        call.append(user)
        call.append(id)
        call.append(subscription)
        return call
    }

    /// The answer is 0 when there was none.
    func pushDelete(_ id: String, of user: String) -> FunctionCall<Int> {
        var call = FunctionCall(.pushDelete, read: \.int)
        call.append(keys.prefix)
        call.append(user)
        call.append(id)
        return call
    }

    /// The groups that belong to the user, and those that have a record of the user.
    func userGroups(_ user: String) -> FunctionCall<[GroupName]> {
        var call = FunctionCall(.userGroups, isReadOnly: true) { reply in
            reply.array?.compactMap { $0.text.flatMap { try? GroupName($0) } }
        }
        call.append(keys.prefix)
        call.append(user)
        return call
    }

    /// Removes what is kept of a user, in steps: the answer is the cursor for the next one, `0` after the last.
    func userErase(_ user: String, cursor: String = "0") -> FunctionCall<String> {
        var call = FunctionCall(.userErase, read: \.text)
        call.append(keys.prefix)
        call.append(user)
        call.append(cursor)
        return call
    }
}
