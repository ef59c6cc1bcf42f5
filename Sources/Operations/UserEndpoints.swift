import Broker
import NIOHTTP1

/// `/v1/users`: a user's connections, and erasing what is kept of a user.
enum UserEndpoints {
    static func all(_ administration: any Administration) -> [AdminEndpoint] {
        [
            AdminEndpoint(
                .DELETE, "/v1/users/{user}/connections", "end all connections of a user, on all gateways", .api,
                .later { request in
                    do throws(BackplaneError) {
                        let heard = try await administration.end(.user(request.user))
                        return .json(.ok, heard.write)
                    } catch {
                        return .error(error)
                    }
                }),
            AdminEndpoint(
                .DELETE, "/v1/users/{user}", "erase a user: end the connections, remove what is kept", .api,
                .later { request in
                    await .of {
                        let erasure = try await administration.erase(request.user)
                        return .json(.ok) { erasure.write(request.user, to: &$0) }
                    }
                }),
        ]
    }
}
